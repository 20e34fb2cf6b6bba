use std::sync::Mutex;

use imgflo_runtime::fbp::info::Component;
use imgflo_runtime::ops::{Image, Rect};
use imgflo_runtime::{LibraryLimits, NativeEngine, fbp};
use serde_json::json;

use super::*;

/// A file that tells by a count whether anybody has it.
struct Watched {
    bytes: Vec<u8>,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Notes whether the input file is still there when the picture is worked on.
struct Watching {
    native: NativeEngine,
    file: Arc<()>,
    held: Mutex<Vec<bool>>,
}

impl Engine for Watching {
    fn describe(&self) -> Vec<Component> {
        self.native.describe()
    }

    fn render(&self, plan: &Plan, input: Option<Image>, control: &Control) -> Result<Image, RenderError> {
        self.held.lock().unwrap().push(Arc::strong_count(&self.file) > 1);
        self.native.render(plan, input, control)
    }
}

#[tokio::test]
async fn the_file_is_gone_when_the_picture_is_worked_on() {
    let pixels = (0..64).map(|n| [n; 3]).collect();
    let picture = Image::from_rgb8(Rect::sized(8, 8), pixels);
    let file = codec::encode(&picture, EncodeOptions::new(FileFormat::Png, 90), &Cancel::new()).unwrap();
    let catalogue = Arc::new(Catalogue::native());
    let engine = Arc::new(Watching { native: NativeEngine::new(1), file: Arc::default(), held: Mutex::default() });
    let limits = Limits::default();
    let memory = Budget::new(limits.max_job_memory);
    let renderer = Arc::new(Renderer {
        engine: engine.clone(),
        catalogue: Arc::clone(&catalogue),
        limits,
        quality: 85,
        background: Background::WHITE,
        accept_cut: false,
        memory,
    });
    let definition = json!({
        "properties": {"environment": {"type": "imgflo"}},
        "inports": {"input": {"process": "only", "port": "input"}},
        "outports": {"output": {"process": "only", "port": "output"}},
        "processes": {"only": {"component": "gegl/nop"}},
        "connections": []
    });
    let graph = fbp::Graph::from_json(&definition).unwrap();
    let within = LibraryLimits { max_nodes: 10, max_bytes: 10_000 };
    let graph = ImageGraph::new("test", graph, &catalogue, &within).unwrap();
    let order = Order {
        graph: Arc::new(graph),
        parameters: BTreeMap::new(),
        input: Some(Bytes::from_owner(Watched { bytes: file, _held: Arc::clone(&engine.file) })),
        format: FileFormat::Png,
        quality: Quality::default(),
        background: None,
        urgency: Urgency::Urgent,
    };
    let made = renderer.render(order, &Cancel::new()).await.unwrap();
    assert_eq!((made.input_size, made.output_size), (Some((8, 8)), (8, 8)));
    assert_eq!(*engine.held.lock().unwrap(), [false]);
}
