//! The page, in a real browser, while another client edits.

use std::time::Duration;

use imgflo_tests::browser::Browser;
use imgflo_tests::editor::Editor;
use serde_json::{Value, json};

use super::runtime;

const PIXEL: &str = "(() => { const image = document.getElementById('picture'); const canvas = document.createElement('canvas'); \
    canvas.width = canvas.height = 1; const draw = canvas.getContext('2d'); draw.drawImage(image, 0, 0, 1, 1); \
    return [...draw.getImageData(0, 0, 1, 1).data]; })()";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_another_client_edits() {
    let runtime = runtime(&[]);
    let mut editor = Editor::connect(&runtime.url).await;
    editor.draw("g", &[("bright", "gegl/brightness-contrast"), ("soft", "gegl/gaussian-blur")]).await;
    let mut browser = Browser::open(&format!("{}/", runtime.url)).await;
    // The page hears of pictures when something changes.
    browser.until("typeof graph === 'string'").await;
    let mut before = Value::Null;
    for (brightness, darker) in [(0.0, false), (-0.6, true), (0.6, false)] {
        editor.turn("g", "bright", "brightness", json!(brightness)).await;
        let echo = editor.until("graph", "addinitial").await;
        assert_eq!(echo["graph"], "g");
        browser.until("document.getElementById('picture').naturalWidth > 0 && document.getElementById('picture').dataset.draft === 'false'").await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        browser
            .until("document.getElementById('picture').dataset.draft === 'false' && !loading && wanted === shown")
            .await;
        let pixel = browser.evaluate(PIXEL).await;
        let light = |pixel: &Value| pixel[0].as_i64().unwrap_or(-1);
        if before != Value::Null {
            assert_eq!(light(&pixel) < light(&before), darker, "{before} -> {pixel}");
        }
        before = pixel;
    }
    // An error is shown, too, and names the process.
    editor.turn("g", "soft", "std-dev-x", json!("wide")).await;
    browser.until("document.getElementById('state').textContent.startsWith(\"process 'soft': \")").await;
    assert_eq!(
        browser.evaluate("document.getElementById('endpoint').textContent").await,
        runtime.url.replacen("http", "ws", 1)
    );
}
