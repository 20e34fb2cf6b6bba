//! The first page, in a real browser.

use std::path::Path;

use imgflo_tests::browser::Browser;
use imgflo_tests::repository;
use imgflo_tests::server::Server;
use serde_json::json;

/// The page's document after its scripts have run.
async fn document(url: &str) -> String {
    let mut browser = Browser::open(url).await;
    browser.until("$('url').value !== '' && $('fields').children.length > 0 && $('samples').children.length > 0").await;
    browser.evaluate("document.documentElement.outerHTML").await.as_str().expect("a document").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_graphs_a_form_and_the_url() {
    let server = Server::start(&[]);
    let html = document(&format!("{}/", server.url)).await;
    for graph in ["gaussianblur", "gradientmap", "halodarken", "retro"] {
        assert!(html.contains(graph), "{graph} is offered: {html}");
    }
    assert!(html.contains("files/lake.jpg"), "the samples are offered");
    assert!(html.contains("type=\"range\"") || html.contains("type=\"number\""), "there is a form");
    assert!(html.contains("/graph/"), "the URL is shown");
    assert!(!html.contains("undefined") && !html.contains("[object Object]"), "no script slipped: {html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debug_request_opens_the_page_with_its_graph() {
    let server = Server::start(&[]);
    let answer = server.get("/graph/gaussianblur?input=files/card.png&std-dev-x=7&debug=1").await;
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let url = if location.starts_with("http") { location } else { format!("{}{location}", server.url) };
    let html = document(&url).await;
    assert!(html.contains("std-dev-x=7"), "the parameters are taken from the URL: {html}");
}

/// Opens the page and waits for its first picture.
async fn open(server: &Server, place: &str) -> Browser {
    let mut browser = Browser::open(&format!("{}/{place}", server.url)).await;
    browser.until("Object.keys(graphs).length > 0 && document.getElementById('fields').children.length > 0").await;
    rest(&mut browser).await;
    browser
}

/// Waits until no picture is made.
async fn rest(browser: &mut Browser) {
    // Changes are asked for after a moment, when the timer has run.
    browser.until("timer === 0 && $('stage').getAttribute('aria-busy') === 'false' && $('picture').complete").await;
}

/// Sets a field as a person does.
async fn set(browser: &mut Browser, id: &str, value: &str) {
    let set = format!("$('{id}').value = '{value}'; $('{id}').dispatchEvent(new Event('input', {{ bubbles: true }}))");
    browser.evaluate(&set).await;
    rest(browser).await;
}

async fn shown_address(browser: &mut Browser) -> String {
    browser.evaluate("$('url').value").await.as_str().expect("an address").to_owned()
}

/// Each graph begins with a picture, and makes one at both ends of each slider.
#[tokio::test(flavor = "multi_thread")]
async fn sliders_are_useful_at_both_ends() {
    let server = Server::start(&[]);
    let mut browser = open(&server, "").await;
    let sliders = browser
        .evaluate(
            "Object.keys(graphs).flatMap((graph) => Object.entries(inportsOf(graph))
               .filter(([name, port]) => ['int', 'number'].includes(port.metadata?.type) && !['width', 'height'].includes(name))
               .map(([name, { metadata }]) => ({ graph, name, metadata, range: sliderRange(metadata), start: startParameters(graph) })))",
        )
        .await;
    let sliders = sliders.as_array().expect("a list");
    assert!(sliders.len() >= 40, "{} sliders", sliders.len());
    for slider in sliders {
        let (graph, name) = (slider["graph"].as_str().unwrap(), slider["name"].as_str().unwrap());
        let [low, high] = [0, 1].map(|end| slider["range"][end].as_f64().unwrap());
        let bound = |key: &str, open: f64| slider["metadata"][key].as_f64().unwrap_or(open);
        let preset = bound("default", 0.0);
        assert!(low < high && bound("minimum", f64::MIN) <= low && high <= bound("maximum", f64::MAX), "{slider}");
        let start = slider["start"].as_object().unwrap();
        let begins = start.get(name).map_or(preset, |start| start.as_str().unwrap().parse().unwrap());
        assert!((low..=high).contains(&begins), "{slider}");
        // A thousandth of the range is a step that nobody sees.
        assert!(high - low <= 1500.0, "{slider}");
        for value in [low, high] {
            let mut parameters: Vec<(&str, String)> = start
                .iter()
                .filter(|(other, _)| *other != name)
                .map(|(k, v)| (k.as_str(), v.as_str().unwrap().to_owned()))
                .collect();
            parameters.extend([(name, value.to_string()), ("width", "300".to_owned())]);
            let query: String = parameters.iter().map(|(name, value)| format!("&{name}={value}")).collect();
            let answer = server.get(&format!("/graph/{graph}.jpg?input=files/lake.jpg{query}")).await;
            assert_eq!(answer.status(), 301, "{graph}, {name} {value}: {}", answer.text().await.unwrap());
        }
    }
    // A blur beyond 50 and grain beyond 600 look all the same.
    let range = |graph: &str, name: &str| {
        let slider = sliders.iter().find(|slider| slider["graph"] == graph && slider["name"] == name);
        slider.map(|slider| slider["range"].clone()).unwrap_or_default()
    };
    assert_eq!(range("gaussianblur", "std-dev-x"), json!([0, 50]));
    assert_eq!(range("desaturate", "grainsize"), json!([2, 600]));
    // A narrower range around a graph holds for the slider, too, and what makes no range is passed over.
    for (metadata, range) in [
        (json!({ "minimum": 0, "maximum": 20, "ui": { "minimum": -5, "maximum": 50 } }), json!([0, 20])),
        (json!({ "minimum": 0, "maximum": 20, "ui": { "minimum": "low", "maximum": 10 } }), json!([0, 10])),
        (json!({ "minimum": 0, "maximum": 20, "ui": { "minimum": 30, "maximum": 10 } }), json!([0, 20])),
    ] {
        assert_eq!(browser.evaluate(&format!("sliderRange({metadata})")).await, range, "{metadata}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_move_sliders_by_fine_steps() {
    let server = Server::start(&[]);
    let mut browser = open(&server, "#sunset?input=files/lake.jpg&opacity=0.85").await;
    const UP: (&str, u32) = ("ArrowUp", 38);
    const DOWN: (&str, u32) = ("ArrowDown", 40);
    for control in ["$('p-opacity')", "$('p-opacity').parentElement.querySelector('[type=range]')"] {
        browser.evaluate(&format!("{control}.focus()")).await;
        for ((key, code), value) in [(UP, 0.855), (DOWN, 0.85), (DOWN, 0.845), (UP, 0.85)] {
            browser.press(key, code).await;
            let found = browser.evaluate("Number($('p-opacity').value)").await.as_f64().unwrap();
            assert!((found - value).abs() < 1e-9, "{control}: {found}, expected {value}");
        }
    }
    rest(&mut browser).await;
    assert!(shown_address(&mut browser).await.contains("&opacity=0.85"));
    // The first touch of a window's edge makes a picture.
    for graph in ["crop", "croprotate", "tiltedcrop"] {
        browser
            .evaluate(&format!("choose('{graph}'); $('p-x').parentElement.querySelector('[type=range]').focus()"))
            .await;
        rest(&mut browser).await;
        browser.press("ArrowRight", 39).await;
        rest(&mut browser).await;
        let address = shown_address(&mut browser).await;
        assert!(address.contains("&x=5") && address.contains("cropwidth=600"), "{address}");
        assert_eq!(browser.evaluate("$('stage').classList.contains('failed')").await, false, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_stands_once() {
    let server = Server::start(&[]);
    let mut browser = open(&server, "#gaussianblur?input=files/lake.jpg&std-dev-x=9999").await;
    let shown = "[...document.querySelectorAll('.fault:not([hidden])')].map((fault) => fault.textContent)";
    browser.until(&format!("{shown}.length === 1")).await;
    let said = browser.evaluate(&format!("{shown}[0]")).await.as_str().unwrap().to_owned();
    let page = browser.evaluate("document.body.innerText").await.as_str().unwrap().to_owned();
    assert_eq!(page.matches(&said).count(), 1, "{said}");
    assert_eq!(browser.evaluate("$('problem').hidden").await, true);
    assert_eq!(browser.evaluate("$('p-std-dev-x').getAttribute('aria-invalid')").await, "true");
    browser.screen(390, 844, "light").await;
    keep(&mut browser, "error-390").await;
    set(&mut browser, "p-std-dev-x", "4").await;
    browser.until("document.querySelectorAll('.fault:not([hidden])').length === 0 && !$('stage').classList.contains('failed')").await;
    // One that belongs to no field has the box.
    set(&mut browser, "input", "files/elephant.jpg").await;
    browser.until("$('stage').classList.contains('failed')").await;
    let page = browser.evaluate("document.body.innerText").await.as_str().unwrap().to_owned();
    keep(&mut browser, "missing-390").await;
    assert_eq!(page.matches("elephant").count(), 1, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transparency_and_the_aspect_are_kept() {
    let server = Server::start(&[]);
    let mut browser = open(&server, "#passthrough?input=files/leaf.png").await;
    browser.until("$('url').value.includes('/graph/passthrough.webp?')").await;
    assert_eq!(browser.evaluate("$('format').options[0].textContent").await, "auto: webp");
    browser.evaluate("$('format').value = 'jpg'; $('format').onchange()").await;
    browser.until("$('url').value.includes('/graph/passthrough.jpg?') && !$('format-hint').hidden").await;
    browser.evaluate("$('format').value = ''; $('format').onchange()").await;
    for opaque in ["files/lake.jpg", "files/card.png"] {
        set(&mut browser, "input", opaque).await;
        browser.until("$('url').value.includes('/graph/passthrough?')").await;
    }
    // One side alone, unless both are asked for.
    set(&mut browser, "p-width", "300").await;
    set(&mut browser, "p-height", "200").await;
    let address = shown_address(&mut browser).await;
    assert!(address.contains("height=200") && !address.contains("width="), "{address}");
    browser.evaluate("$('aspect').click()").await;
    set(&mut browser, "p-width", "300").await;
    let address = shown_address(&mut browser).await;
    assert!(address.contains("height=200") && address.contains("width=300"), "{address}");
    browser.evaluate("$('aspect').click()").await;
    rest(&mut browser).await;
    let address = shown_address(&mut browser).await;
    assert!(!address.contains("height=") && address.contains("width=300"), "{address}");
    // A link that stretches does so.
    let mut browser = open(&server, "#gaussianblur?input=files/lake.jpg&width=90&height=90").await;
    assert_eq!(browser.evaluate("$('aspect').checked").await, false);
    assert!(shown_address(&mut browser).await.contains("height=90"));
}

/// Texts of the page that lie over others, or stick out of the screen.
const OVERLAPS: &str = "(() => {
  const groups = ['.bar', '.form', '.graphs', '.view', '.address'];
  const texts = 'label, legend, h1, h2, p, button, output, .side, .name, input, select';
  return groups.flatMap((group) => {
    const all = [...document.querySelector(group).querySelectorAll(texts)].filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.innerText !== '');
    const boxes = all.map((e) => {
      const range = document.createRange();
      range.selectNodeContents(e);
      const box = (/INPUT|SELECT|BUTTON/.test(e.tagName) ? e : range).getBoundingClientRect();
      return [e, box, e.innerText || e.id];
    }).filter(([, box]) => box.width > 0 && box.height > 0);
    const over = ([a, p], [b, q]) => !a.contains(b) && !b.contains(a)
      && p.left + 1 < q.right && q.left + 1 < p.right && p.top + 1 < q.bottom && q.top + 1 < p.bottom;
    const pairs = boxes.flatMap((one, index) => boxes.slice(index + 1).filter((two) => over(one, two)).map((two) => `${group}: ${one[2]} / ${two[2]}`));
    const out = group === '.graphs' ? [] : boxes.filter(([, box]) => box.left < -1 || box.right > innerWidth + 1).map(([,, text]) => `${group}: ${text} sticks out`);
    return [...pairs, ...out];
  });
})()";

/// On screens of all sizes, light and dark: nothing overlaps, the picture stays in view, and axe finds no violation.
/// `IMGFLO_TEST_SCREENSHOTS=DIR` keeps what it looks like.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_every_screen() {
    let axe = repository().join("tests/tests/npm/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("run scripts/test, or `npm ci` in tests/tests/npm once");
    let server = Server::start(&[]);
    let mut browser = open(&server, "#sunset?input=files/lake.jpg&width=700").await;
    browser.evaluate(&axe).await;
    // As where requests are signed.
    browser.evaluate("$('signing').hidden = false").await;
    for (width, height) in
        [(390, 844), (480, 900), (600, 900), (680, 900), (700, 1000), (820, 1180), (1000, 800), (1440, 900)]
    {
        for scheme in ["light", "dark"] {
            browser.screen(width, height, scheme).await;
            for graph in ["sunset", "croprotate", "gaussianblur"] {
                browser.evaluate(&format!("choose('{graph}'); scrollTo(0, 0)")).await;
                rest(&mut browser).await;
                keep(&mut browser, &format!("{graph}-{width}-{scheme}")).await;
                let found = browser.evaluate(OVERLAPS).await;
                assert_eq!(found, json!([]), "{graph} at {width}, {scheme}");
                assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= innerWidth").await, true);
                // The last slider is in reach, beside or below the picture.
                let last = "[...document.querySelectorAll('#fields [type=range]')].pop()";
                browser.evaluate(&format!("{last}.scrollIntoView({{ block: 'end' }}); {last}.focus()")).await;
                let seen = format!(
                    "[$('picture'), {last}].map((e) => e.getBoundingClientRect()).map((box) => box.top >= -1 && box.bottom <= innerHeight + 1)"
                );
                assert_eq!(browser.evaluate(&seen).await, json!([true, true]), "{graph} at {width}");
                keep(&mut browser, &format!("{graph}-{width}-{scheme}-scrolled")).await;
            }
            let violations = "axe.run(document).then((found) => found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`))";
            assert_eq!(browser.evaluate(violations).await, json!([]), "{width}, {scheme}");
        }
    }
}

/// Keeps a picture of the page for people to look at, where they say so.
async fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("IMGFLO_TEST_SCREENSHOTS") {
        let picture = browser.screenshot().await;
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}
