//! The manifests for Kubernetes: against the schemas of its API and of KEDA, each other, and the program.

use std::collections::{BTreeMap, BTreeSet};

use imgflo_tests::{corpus, repository};
use serde_json::Value;

use super::{Started, documents, free_port, read};

const FOLDER: &str = "deploy/kubernetes";

/// The manifests, with their files.
fn manifests() -> Vec<(String, Value)> {
    let files = [corpus(FOLDER, &["yaml"], 5), corpus(&format!("{FOLDER}/keda"), &["yaml"], 2)].concat();
    let names = files.iter().map(|file| file.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned());
    let names = names.filter(|name| !name.ends_with("kustomization.yaml"));
    names.flat_map(|name| documents(&name).into_iter().map(move |document| (name.clone(), document))).collect()
}

fn of<'m>(all: &'m [(String, Value)], kind: &str) -> Vec<&'m Value> {
    all.iter().map(|(_, document)| document).filter(|document| document["kind"] == kind).collect()
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().expect("a name")
}

#[test]
fn manifests_are_what_their_schemas_say() {
    let schemas: Value = serde_json::from_str(&read("tests/tests/all/deploy/schemas.json")).unwrap();
    let mut seen = 0;
    for (file, document) in manifests() {
        let (version, kind) = (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
        let key = format!("{version}/{kind}");
        assert!(schemas.get(&key).is_some(), "{file}: there is no schema of {key}");
        assert_valid(&schemas[&key], &document).unwrap_or_else(|error| panic!("{file}: {error}"));
        // A name that is misspelt is no field.
        let mut wrong = document.clone();
        wrong["metadata"]["nmae"] = "x".into();
        assert!(assert_valid(&schemas[&key], &wrong).is_err(), "{key}");
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} manifests were seen");
}

/// Checks a document against the part of JSON Schema that the excerpts use.
fn assert_valid(schema: &Value, document: &Value) -> Result<(), String> {
    for keyword in schema.as_object().expect("a schema").keys() {
        let known = ["type", "enum", "oneOf", "required", "properties", "additionalProperties", "items"];
        assert!(known.contains(&keyword.as_str()), "the schemas use '{keyword}', which is not checked here");
    }
    let kind = match document {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let all = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    if schema.get("type").is_some_and(|types| !all(types).iter().any(|name| name == kind)) {
        return Err(format!("must be {}, is {document}", schema["type"]));
    }
    if schema.get("enum").is_some_and(|values| !all(values).contains(document)) {
        return Err(format!("must be one of {}, is {document}", schema["enum"]));
    }
    if let Some(ways) = schema.get("oneOf")
        && all(ways).iter().filter(|way| assert_valid(way, document).is_ok()).count() != 1
    {
        return Err(format!("must be one of {ways}, is {document}"));
    }
    for item in document.as_array().into_iter().flatten() {
        assert_valid(&schema["items"], item)?;
    }
    let Some(fields) = document.as_object() else { return Ok(()) };
    for name in schema.get("required").into_iter().flat_map(all) {
        if !fields.contains_key(name.as_str().expect("a name")) {
            return Err(format!("{name} is missing in {document}"));
        }
    }
    for (name, value) in fields {
        let schema = match (schema.get("properties").and_then(|all| all.get(name)), &schema["additionalProperties"]) {
            (Some(schema), _) | (None, schema @ Value::Object(_)) => schema,
            (None, _) => return Err(format!("there is no field '{name}'")),
        };
        assert_valid(schema, value).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[test]
fn manifests_fit_each_other() {
    let all = manifests();
    let deployments = of(&all, "Deployment");
    assert_eq!(
        deployments.iter().map(|d| name(d)).collect::<BTreeSet<_>>(),
        BTreeSet::from(["imgflo-background", "imgflo-urgent", "imgflo-web"])
    );
    let has = |kind: &str, wanted: &Value| of(&all, kind).iter().any(|document| name(document) == wanted);
    for deployment in &deployments {
        let (template, spec) = (&deployment["spec"]["template"], &deployment["spec"]["template"]["spec"]);
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], template["metadata"]["labels"]);
        assert_eq!(spec["enableServiceLinks"], false, "links of Services would look like settings");
        let container = &spec["containers"][0];
        for source in container["envFrom"].as_array().unwrap() {
            let reference = |kind: &str| source.get(kind).map(|reference| &reference["name"]);
            let (map, secret) = (reference("configMapRef"), reference("secretRef"));
            assert!(map.is_some_and(|name| has("ConfigMap", name)) || secret.is_some_and(|name| has("Secret", name)));
        }
        let volumes: BTreeSet<&str> =
            spec["volumes"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(mount["name"].as_str().unwrap()), "{mount}");
        }
    }
    let web = deployments.iter().find(|deployment| name(deployment) == "imgflo-web").unwrap();
    let labels = web["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    let ports = &web["spec"]["template"]["spec"]["containers"][0]["ports"];
    for (kind, selector) in [("Service", "/spec/selector"), ("PodDisruptionBudget", "/spec/selector/matchLabels")] {
        for document in of(&all, kind) {
            let selector = document.pointer(selector).unwrap().as_object().unwrap();
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{kind} {}", name(document));
        }
    }
    let service = of(&all, "Service")[0];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], ports[0]["name"]);
    let backend = &of(&all, "Ingress")[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(
        (&backend["name"], &backend["port"]["name"]),
        (&service["metadata"]["name"], &service["spec"]["ports"][0]["name"])
    );
}

#[test]
fn workers_are_scaled_by_all_jobs_that_are_not_done() {
    let all = manifests();
    let network = imgflo_msgflo::Network::from_graph(
        &imgflo_fbp::parse(&read("graphs/imgflo.fbp"), &imgflo_fbp::ParseOptions::default()).unwrap(),
    );
    let network = network.unwrap();
    let queues: BTreeSet<&str> = network
        .bindings()
        .iter()
        .filter_map(|binding| match binding {
            imgflo_msgflo::Binding::RoundRobin { queue, .. } => Some(queue.as_str()),
            imgflo_msgflo::Binding::PubSub { .. } => None,
        })
        .collect();
    let scaled = of(&all, "ScaledObject");
    assert_eq!(scaled.len(), 2);
    for object in scaled {
        let spec = &object["spec"];
        let deployment =
            of(&all, "Deployment").into_iter().find(|d| d["metadata"]["name"] == spec["scaleTargetRef"]["name"]);
        let role = deployment.expect("a Deployment to scale")["metadata"]["labels"]["role"].as_str().unwrap();
        let trigger = &spec["triggers"][0];
        assert_eq!(trigger["type"], "rabbitmq");
        let metadata = &trigger["metadata"];
        // Over AMQP the jobs at work do not count, and their workers go.
        assert_eq!(metadata["protocol"], "http");
        let queue = metadata["queueName"].as_str().unwrap();
        assert!(queues.contains(queue) && queue == format!("{role}.JOB"), "{queue}");
        assert!(metadata["mode"] == "QueueLength" && metadata["value"].as_str().unwrap().parse::<u32>().is_ok());
        let authentication = of(&all, "TriggerAuthentication").into_iter();
        let mut authentication =
            authentication.filter(|a| a["metadata"]["name"] == trigger["authenticationRef"]["name"]);
        let target = &authentication.next().expect("an authentication")["spec"]["secretTargetRef"][0];
        let secret = of(&all, "Secret").into_iter().find(|s| s["metadata"]["name"] == target["name"]).unwrap();
        let host = secret["stringData"][target["key"].as_str().unwrap()].as_str().unwrap();
        assert!(target["parameter"] == "host" && host.starts_with("http://"), "{host}");
    }
}

#[test]
fn kustomizations_name_all_manifests() {
    for folder in [FOLDER, "deploy/kubernetes/keda"] {
        let kustomization = &documents(&format!("{folder}/kustomization.yaml"))[0];
        let named: BTreeSet<&str> =
            kustomization["resources"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
        let files = corpus(folder, &["yaml"], 2);
        let files = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
        let others = ["kustomization.yaml", "secret.example.yaml"];
        assert_eq!(named, files.filter(|file| !others.contains(file)).collect(), "{folder}");
    }
}

/// Starts each container as the kubelet would, with the variables of its Services as well.
#[tokio::test(flavor = "multi_thread")]
async fn containers_start_with_what_their_manifests_say() {
    let all = manifests();
    let mut seen = 0;
    for deployment in of(&all, "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let mut environment: BTreeMap<String, String> = BTreeMap::from([
            ("PORT".to_owned(), "8080".to_owned()),
            ("IMGFLO_SERVICE_HOST".to_owned(), "10.0.0.11".to_owned()),
            ("IMGFLO_SERVICE_PORT_HTTP".to_owned(), "80".to_owned()),
            ("IMGFLO_PORT".to_owned(), "tcp://10.0.0.11:80".to_owned()),
            ("IMGFLO_PORT_80_TCP_ADDR".to_owned(), "10.0.0.11".to_owned()),
        ]);
        for source in container["envFrom"].as_array().unwrap() {
            let (kind, field, reference) = match source.get("configMapRef") {
                Some(reference) => ("ConfigMap", "data", reference),
                None => ("Secret", "stringData", &source["secretRef"]),
            };
            let data = of(&all, kind).into_iter().find(|d| d["metadata"]["name"] == reference["name"]).unwrap();
            let values = data[field].as_object().unwrap().iter();
            environment.extend(values.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
        }
        for variable in container["env"].as_array().unwrap() {
            let text = |field: &str| variable[field].as_str().unwrap().to_owned();
            environment.insert(text("name"), text("value"));
        }
        // Services that are nowhere: those of the manifests are not here either.
        environment.insert("IMGFLO_S3_ENDPOINT".into(), "http://127.0.0.1:1".into());
        environment.insert("IMGFLO_BROKER_URL".into(), "amqp://127.0.0.1:1".into());
        environment.insert("IMGFLO_REDIS_URL".into(), "redis://127.0.0.1:1".into());
        let port = free_port();
        if let Some(bind) = environment.get_mut("IMGFLO_BIND") {
            *bind = bind.replace("8080", &port.to_string());
        }
        let words = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
        let started = Started::new(&words.collect::<Vec<_>>(), &environment);
        for probe in ["livenessProbe", "readinessProbe"] {
            let Some(get) = container[probe].get("httpGet") else { continue };
            assert_eq!(get["port"], container["ports"][0]["name"]);
            let url = format!("http://127.0.0.1:{port}{}", get["path"].as_str().unwrap());
            let status = imgflo_tests::server::client().get(&url).send().await.unwrap().status();
            assert!(status == 200 || (probe == "readinessProbe" && status == 503), "{url}: {status}");
            seen += 1;
        }
        assert!(started.lines[0].starts_with("imgflo "), "{:?}", started.lines);
        seen += 1;
    }
    assert_eq!(seen, 5);
}
