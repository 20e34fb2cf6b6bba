//! Several editors on one graph.

use imgflo_fbp::{Edit, EditLimits, Graph};
use imgflo_tests::editor::Editor;
use serde_json::{Value, json};

use super::runtime;

/// What an editor believes the graph to be: every echo, applied.
struct Mirror {
    editor: Editor,
    graph: Graph,
    echoes: usize,
    refusals: usize,
}

impl Mirror {
    /// Reads until the answer to a question that was asked last.
    async fn catch_up(&mut self, id: &str) {
        self.editor.send("network", "getstatus", json!({ "graph": id })).await;
        loop {
            let message = self.editor.next().await.expect("the runtime is there");
            if message["command"] == "status" {
                return;
            }
            self.take(id, message);
        }
    }

    fn take(&mut self, id: &str, mut message: Value) {
        if message["command"] == "error" {
            self.refusals += 1;
            return;
        }
        if message["protocol"] != "graph" || message["payload"]["graph"] != id {
            return;
        }
        self.echoes += 1;
        message["payload"].as_object_mut().expect("an object").remove("graph");
        let edit = json!({ "command": message["command"], "payload": message["payload"] });
        let edit = serde_json::from_value::<Edit>(edit).expect("an edit");
        self.graph.edit(edit, &EditLimits::default()).expect("what was told can be done");
    }
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }

    fn command(&mut self) -> (&'static str, Value) {
        let node = |number: u64| format!("n{number}");
        let (a, b) = (node(self.below(8)), node(self.below(8)));
        let (src, tgt) = (json!({ "node": a, "port": "output" }), json!({ "node": b, "port": "input" }));
        let value = self.below(100);
        match self.below(12) {
            0 | 1 => ("addnode", json!({ "id": a, "component": "gegl/gaussian-blur", "metadata": { "x": value } })),
            2 => ("removenode", json!({ "id": a })),
            3 => ("renamenode", json!({ "from": a, "to": b })),
            4 => ("changenode", json!({ "id": a, "metadata": { "x": value, "y": null } })),
            5 | 6 => ("addedge", json!({ "src": src, "tgt": tgt })),
            7 => ("removeedge", json!({ "src": src, "tgt": tgt })),
            8 | 9 => ("addinitial", json!({ "src": { "data": value }, "tgt": { "node": a, "port": "std-dev-x" } })),
            10 => ("removeinitial", json!({ "tgt": { "node": a, "port": "std-dev-x" } })),
            _ => ("addinport", json!({ "public": format!("p{}", value % 4), "node": a, "port": "std-dev-y" })),
        }
    }
}

/// 10,000 messages of two editors at once.
#[tokio::test(flavor = "multi_thread")]
async fn two_editors_end_with_the_same_graph() {
    let runtime = runtime(&[]);
    let id = "shared";
    let mut mirrors = Vec::new();
    for _ in 0..2 {
        let editor = Editor::connect(&runtime.url).await;
        mirrors.push(Mirror { editor, graph: Graph::default(), echoes: 0, refusals: 0 });
    }
    let cleared = mirrors[0].editor.ask("graph", "clear", json!({ "id": id, "main": true })).await;
    assert_eq!(cleared, json!({ "id": id, "main": true }));
    let work = mirrors.into_iter().enumerate().map(|(seed, mut mirror)| {
        tokio::spawn(async move {
            let mut random = Random(seed as u64 + 1);
            for step in 0..5000 {
                let (command, mut payload) = random.command();
                payload["graph"] = id.into();
                mirror.editor.send("graph", command, payload).await;
                // Some answers are read in between, others wait.
                if step % 50 == 0 {
                    mirror.catch_up(id).await;
                }
            }
            mirror.catch_up(id).await;
            mirror
        })
    });
    let mut mirrors =
        futures::future::join_all(work).await.into_iter().map(|done| done.expect("it ends")).collect::<Vec<_>>();
    for mirror in &mut mirrors {
        mirror.catch_up(id).await;
        assert!(mirror.echoes > 3000 && mirror.refusals > 500, "{} {}", mirror.echoes, mirror.refusals);
    }
    let source = mirrors[0].editor.ask_for_source(id).await;
    assert!(mirrors[0].graph == mirrors[1].graph, "the editors differ");
    let mut own = Graph::from_json_str(&source).expect("a graph");
    own.properties.clear();
    // Places of what nobody gave any are the runtime's. JSON has edges before literals.
    let mut sorted = mirrors[0].graph.clone();
    imgflo_fbp::lay_out(&mut sorted);
    let sorted = Graph::from_json(&sorted.to_json()).expect("a graph");
    assert!(own == sorted, "the runtime's graph is another");
}

/// Each sees what the other does, and only the one who asked gets an answer with the id of the request.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_told_to_all() {
    let runtime = runtime(&[]);
    let (mut one, mut other) = (Editor::connect(&runtime.url).await, Editor::connect(&runtime.url).await);
    one.ask("graph", "clear", json!({ "id": "g" })).await;
    let message = json!({ "protocol": "graph", "command": "addnode", "requestId": "r-1",
        "payload": { "id": "a", "component": "gegl/nop", "graph": "g", "surprise": 1 } });
    one.send_text(message.to_string()).await.expect("sent");
    let (mine, theirs) = loop {
        let mine = one.next().await.expect("an answer");
        if mine["command"] == "addnode" {
            break (mine, other.until("graph", "addnode").await);
        }
    };
    assert_eq!(mine["responseTo"], "r-1");
    assert_eq!(mine["payload"], json!({ "id": "a", "component": "gegl/nop", "graph": "g" }));
    assert_eq!(theirs, mine["payload"]);
}

/// What an editor looks at is its own affair.
#[tokio::test(flavor = "multi_thread")]
async fn each_hears_of_the_edges_it_looks_at() {
    let runtime = runtime(&[]);
    let (mut one, mut all) = (Editor::connect(&runtime.url).await, Editor::connect(&runtime.url).await);
    one.draw("g", &[("a", "gegl/gaussian-blur"), ("b", "gegl/nop"), ("c", "gegl/nop")]).await;
    let edge = json!({ "src": { "node": "a", "port": "output" }, "tgt": { "node": "b", "port": "input" } });
    let echo = one.ask("network", "edges", json!({ "graph": "g", "edges": [edge] })).await;
    assert_eq!(echo, json!({ "graph": "g", "edges": [edge] }));
    let mut heard = Vec::new();
    one.turn("g", "a", "std-dev-x", 1.into()).await;
    while let Some(message) = all.next_within(std::time::Duration::from_secs(2)).await {
        if message["command"] == "data" && message["payload"]["src"].is_object() {
            heard.push(message["payload"]["src"]["node"].as_str().expect("a name").to_owned());
        }
    }
    assert!(heard.contains(&"a".into()) && heard.contains(&"b".into()), "{heard:?}");
    let mut since = false;
    while let Some(message) = one.next_within(std::time::Duration::from_secs(1)).await {
        since |= message["command"] == "edges" || message["command"] == "addinitial";
        if since && message["command"] == "data" && message["payload"]["src"].is_object() {
            assert_eq!(message["payload"]["src"]["node"], "a", "{message}");
        }
    }
}
