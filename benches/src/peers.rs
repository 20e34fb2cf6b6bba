//! Who is compared: how each is found, started, and asked for the same thing.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use imgflo_ops::codec::FileFormat;

use crate::document::{debian, version};
use crate::process;
use crate::server::Server;

/// What is to be done to a picture.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Scaled to this width, the height with it.
    Scale(u32),
    /// Written anew.
    Recode,
    /// Cut to x, y, width, height.
    Crop(u32, u32, u32, u32),
    /// The same, then turned clockwise by a quarter.
    Turn(u32, u32, u32, u32),
    /// Blurred with this standard deviation, pixels.
    Blur(u32),
}

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Request {
    /// A file in the folder of inputs.
    pub file: String,
    /// What is done to it.
    pub task: Task,
    /// What it is written as.
    pub format: FileFormat,
}

/// A program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Ours.
    Imgflo,
    /// The barest server around sharp.
    Sharp,
    /// unjs/ipx, a server around sharp.
    Ipx,
    /// A server around Pillow.
    Thumbor,
    /// The command of libvips.
    Vips,
    /// The command of GEGL.
    Gegl,
}

/// All of them, in the order of the tables.
pub const ALL: [Peer; 6] = [Peer::Imgflo, Peer::Sharp, Peer::Ipx, Peer::Thumbor, Peer::Vips, Peer::Gegl];

fn folder() -> PathBuf {
    process::repository().join("benches/peers")
}

/// Version of an npm package below `benches/peers`.
fn package(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(folder().join("node_modules").join(path).join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

fn thumbor() -> PathBuf {
    folder().join(".venv/bin/thumbor")
}

impl Peer {
    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Imgflo => "imgflo",
            Peer::Sharp => "sharp",
            Peer::Ipx => "ipx",
            Peer::Thumbor => "thumbor",
            Peer::Vips => "vipsthumbnail",
            Peer::Gegl => "gegl",
        }
    }

    /// Its name and version, and what it is built on; `None` where it is not installed.
    pub fn version(self) -> Option<String> {
        match self {
            Peer::Imgflo => Some("imgflo".to_owned()),
            Peer::Sharp => {
                Some(format!("sharp {} on Node.js {}", package("sharp")?, version(Command::new("node").arg("-v"))?))
            }
            Peer::Ipx => {
                let sharp = package("ipx/node_modules/sharp").or_else(|| package("sharp"))?;
                Some(format!("ipx {} (sharp {sharp})", package("ipx")?))
            }
            Peer::Thumbor => {
                version(Command::new(thumbor()).arg("--version")).map(|line| line.replace("Thumbor v", "thumbor "))
            }
            Peer::Vips => {
                version(Command::new("vipsthumbnail").arg("--version")).map(|line| format!("vipsthumbnail of {line}"))
            }
            Peer::Gegl => {
                let there = Command::new("gegl").args(["--exists", "gegl:nop"]).status();
                there.ok().filter(|status| status.success())?;
                // It does not tell its version.
                Some(debian("gegl").unwrap_or_else(|| "gegl of unknown version".to_owned()))
            }
        }
    }

    /// Where it comes from.
    pub fn source(self) -> &'static str {
        match self {
            Peer::Imgflo => "cargo build --release",
            Peer::Sharp | Peer::Ipx => "npm ci --prefix benches/peers",
            Peer::Thumbor => {
                "python3 -m venv benches/peers/.venv, then its pip install -r benches/peers/requirements.txt"
            }
            Peer::Vips => "Debian package libvips-tools",
            Peer::Gegl => "Debian package gegl",
        }
    }

    /// Starts it, where it is a server, for inputs in `inputs`; what it keeps goes into `results`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve(self, inputs: &Path, results: &Path) -> Result<Option<Server>, Box<dyn Error>> {
        let mut command = match self {
            Peer::Imgflo => {
                let mut command = Command::new(std::env::current_exe()?.with_file_name("imgflo"));
                command.args(["serve", "--bind", "127.0.0.1:0", "--log", "warn", "--data-dir"]);
                command.arg(results).arg("--files").arg(inputs).current_dir(process::repository());
                command
            }
            Peer::Sharp | Peer::Ipx => {
                let script = if self == Peer::Sharp { "server.mjs" } else { "ipx.mjs" };
                let mut command = Command::new("node");
                command.arg(folder().join(script)).arg(inputs);
                command
            }
            Peer::Thumbor => {
                let mut command = Command::new(thumbor());
                command.arg("--conf").arg(folder().join("thumbor.conf")).env("INPUTS", inputs);
                return Server::start_at(&mut command).map(Some);
            }
            Peer::Vips | Peer::Gegl => return Ok(None),
        };
        Server::start(&mut command).map(Some)
    }

    /// The path and query of a request to it, where it is a server and can do that.
    pub fn address(self, request: &Request) -> Option<String> {
        let Request { file, task, format } = request;
        let extension = format.extension();
        match self {
            Peer::Imgflo => {
                let (graph, parameters) = match task {
                    Task::Scale(width) => ("passthrough", format!("width={width}&")),
                    Task::Recode => ("passthrough", String::new()),
                    Task::Crop(x, y, w, h) => ("crop", format!("x={x}&y={y}&cropwidth={w}&cropheight={h}&")),
                    Task::Turn(x, y, w, h) => {
                        ("tiltedcrop", format!("x={x}&y={y}&cropwidth={w}&cropheight={h}&degrees=-90&"))
                    }
                    Task::Blur(deviation) => ("gaussianblur", format!("std-dev-x={deviation}&std-dev-y={deviation}&")),
                };
                // The same request again is rendered again.
                Some(format!("/graph/{graph}.{extension}?{parameters}_nocache=true&input=files/{file}"))
            }
            Peer::Sharp => {
                let parameters = match task {
                    Task::Scale(width) => format!("&width={width}"),
                    Task::Recode => String::new(),
                    Task::Crop(x, y, w, h) => format!("&left={x}&top={y}&cropwidth={w}&cropheight={h}"),
                    Task::Turn(x, y, w, h) => format!("&left={x}&top={y}&cropwidth={w}&cropheight={h}&turn=90"),
                    Task::Blur(deviation) => format!("&blur={deviation}"),
                };
                Some(format!("/?file={file}&format={extension}{parameters}"))
            }
            Peer::Ipx => {
                let modifier = match task {
                    Task::Scale(width) => format!(",w_{width}"),
                    Task::Recode => String::new(),
                    Task::Crop(x, y, w, h) => format!(",extract_{x}_{y}_{w}_{h}"),
                    Task::Turn(..) => return None,
                    Task::Blur(deviation) => format!(",blur_{deviation}"),
                };
                let format = if *format == FileFormat::Jpeg { "jpeg" } else { extension };
                // Its quality would make a PNG one of 256 colours.
                let quality = if format == "png" { "" } else { ",q_85" };
                Some(format!("/f_{format}{quality}{modifier}/{file}"))
            }
            Peer::Thumbor => {
                let format = if *format == FileFormat::Jpeg { "jpeg" } else { extension };
                let (before, filter) = match task {
                    Task::Scale(width) => (format!("{width}x0/"), String::new()),
                    Task::Recode => (String::new(), String::new()),
                    Task::Crop(x, y, w, h) => (format!("{x}x{y}:{}x{}/", x + w, y + h), String::new()),
                    Task::Turn(..) => return None,
                    Task::Blur(deviation) => (String::new(), format!(":blur({},{deviation})", deviation * 3)),
                };
                Some(format!("/unsafe/{before}filters:format({format}):quality(85){filter}/{file}"))
            }
            Peer::Vips | Peer::Gegl => None,
        }
    }

    /// The command that writes the result to `output`, where it is one and can do that.
    pub fn command(self, request: &Request, inputs: &Path, output: &Path) -> Option<Vec<String>> {
        let input = inputs.join(&request.file).display().to_string();
        let output = output.display();
        match (self, request.task) {
            (Peer::Vips, Task::Scale(width)) => {
                let quality = if request.format == FileFormat::Png { "" } else { "[Q=85]" };
                let target = format!("{output}{quality}");
                Some(["vipsthumbnail", &input, "--size", &format!("{width}x"), "-o", &target].map(str::to_owned).into())
            }
            (Peer::Gegl, task) => {
                let operation = match task {
                    Task::Scale(width) => format!("gegl:scale-size-keepaspect x={width}"),
                    Task::Recode => "gegl:nop".to_owned(),
                    Task::Crop(x, y, w, h) => format!("gegl:crop x={x} y={y} width={w} height={h}"),
                    Task::Turn(..) => return None,
                    Task::Blur(deviation) => format!("gegl:gaussian-blur std-dev-x={deviation} std-dev-y={deviation}"),
                };
                let save = match request.format {
                    FileFormat::Png => format!("gegl:png-save path={output} bitdepth=8"),
                    format => format!("gegl:{}-save path={output} quality=85", format.extension()),
                };
                let words = format!("gegl {input} -- {operation} {save}");
                Some(words.split(' ').map(str::to_owned).collect())
            }
            _ => None,
        }
    }
}
