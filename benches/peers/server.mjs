// The barest image server around sharp: GET /?file=NAME&width=N&format=F[&blur=S][&turn=DEGREES].
// node server.mjs FOLDER: prints its URL, then serves until it is ended.
import { createServer } from "node:http";
import { basename, join } from "node:path";
import sharp from "sharp";

const folder = process.argv[2];
const quality = { jpg: { quality: 85 }, webp: { quality: 85 }, png: {} };
const server = createServer(async (request, response) => {
  const query = new URL(request.url, "http://localhost").searchParams;
  const format = query.get("format");
  let image = sharp(join(folder, basename(query.get("file")))).rotate();
  const number = (name) => Number(query.get(name));
  if (query.has("left")) {
    image = image.extract({ left: number("left"), top: number("top"), width: number("cropwidth"), height: number("cropheight") });
  }
  if (query.has("turn")) image = image.rotate(number("turn"));
  if (query.has("width")) image = image.resize(Number(query.get("width")));
  if (query.has("blur")) image = image.blur(Number(query.get("blur")));
  const body = await image.toFormat(format === "jpg" ? "jpeg" : format, quality[format]).toBuffer();
  response.writeHead(200, { "content-type": `image/${format}` }).end(body);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
