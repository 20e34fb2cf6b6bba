// Drives a runtime with npm fbp-client, which checks each answer against the schemas of the protocol.
const assert = require('assert');
const fbpClient = require('fbp-client');

const [address, secret] = process.argv.slice(2);

const C = (body) => `#include "imgflo-op.h"
static const char *render(const imgflo_call *call) {
  for (int32_t y = 0; y < call->output.box.height; y++) {
    const float *in = call->input.pixels + y * call->input.stride;
    float *out = call->output.pixels + y * call->output.stride;
    for (int32_t i = 0; i < 4 * call->output.box.width; i++) out[i] = ${body};
  }
  return NULL;
}
static const imgflo_operation operation = {
  .kind = IMGFLO_AREA, .format = IMGFLO_CODED, .keeps_opaque = 1, .name = "half",
  .description = "For tests.", .render = render,
};
IMGFLO_OPERATION(operation);
`;

async function main() {
  const client = await fbpClient({ address, protocol: 'websocket', secret }, {});
  const heard = [];
  client.on('signal', (message) => heard.push(message));
  client.on('protocolError', (error) => { throw error; });
  const until = async (matches) => {
    for (let tries = 0; tries < 200; tries += 1) {
      const found = heard.find(matches);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`not heard among ${JSON.stringify(heard)}`);
  };
  await client.connect();
  const { component, graph, network, runtime } = client.protocol;

  const components = await component.list();
  const names = components.map((found) => found.name);
  for (const name of ['Processor', 'core/Repeat', 'core/Drop', 'gegl/crop', 'graph/duotone']) {
    assert(names.includes(name), name);
  }
  assert.strictEqual(new Set(names).size, names.length);
  assert((await component.getsource({ name: 'graph/duotone' })).code.length > 0);
  assert((await component.getsource({ name: 'gegl/checkerboard' })).code
    .includes('This file is an image processing operation for GEGL'));

  const id = 'tests/one';
  await graph.clear({ id, name: 'one', main: true });
  const node = (name, what) => graph.addnode({ id: name, component: what, graph: id, metadata: { x: 1, y: 2 } });
  await node('blur', 'gegl/gaussian-blur');
  await node('show', 'Processor');
  const edge = { src: { node: 'blur', port: 'output' }, tgt: { node: 'show', port: 'input' } };
  await graph.addedge({ ...edge, graph: id });
  await graph.changeedge({ ...edge, metadata: { route: 3 }, graph: id });
  await graph.addinitial({ src: { data: 4 }, tgt: { node: 'blur', port: 'std-dev-x' }, graph: id });
  await graph.addinport({ public: 'input', node: 'blur', port: 'input', graph: id });
  await graph.addinport({ public: 'radius', node: 'blur', port: 'std-dev-y', graph: id });
  await graph.addoutport({ public: 'output', node: 'blur', port: 'output', graph: id });
  await graph.addgroup({ name: 'all', nodes: ['blur', 'show'], graph: id });
  await graph.renamegroup({ from: 'all', to: 'both', graph: id });
  await graph.changegroup({ name: 'both', metadata: { description: 'x' }, graph: id });
  await graph.removegroup({ name: 'both', graph: id });
  await graph.renamenode({ from: 'blur', to: 'soft', graph: id });
  await assert.rejects(graph.addnode({ id: 'soft', component: 'gegl/nop', graph: id }), /there is a node 'soft' already/);
  await assert.rejects(graph.removenode({ id: 'blur', graph: id }), /there is no node 'blur'/);

  await network.start({ graph: id });
  await until((m) => m.command === 'output' && m.payload.type === 'previewurl');
  const status = await network.getstatus({ graph: id });
  assert.strictEqual(status.started, true);
  const looked = [{ src: { node: 'soft', port: 'output' }, tgt: edge.tgt }];
  await network.edges({ graph: id, edges: looked });
  const data = await until((m) => m.protocol === 'network' && m.command === 'data' && m.payload.src);
  assert.strictEqual(data.payload.data.type, 'previewurl');
  const answer = await fetch(data.payload.data.url);
  assert.strictEqual(answer.headers.get('content-type'), 'image/png');
  await runtime.packet({ graph: id, port: 'radius', event: 'data', payload: 9 });
  const packet = await until((m) => m.protocol === 'runtime' && m.command === 'packet' && m.payload.port === 'output');
  assert((await fetch(`${packet.payload.payload}&timestamp=${Date.now()}`)).ok);

  const broken = { name: 'half', library: 'c', language: 'c', code: C('in[i] * 0.5f;;; nonsense') };
  await assert.rejects(component.source(broken), /half\.c:6.*nonsense/s);
  const first = await component.source({ ...broken, code: C('in[i] * 0.5f') });
  assert.strictEqual(first.name, 'c/half');
  await node('half', 'c/half');
  await graph.addedge({ src: { node: 'soft', port: 'output' }, tgt: { node: 'half', port: 'input' }, graph: id });
  const picture = async () => {
    const found = await fetch(packet.payload.payload.replace(/node=[^&]*/, 'node=half'));
    assert.strictEqual(found.status, 200, await found.clone().text());
    return Buffer.from(await found.arrayBuffer());
  };
  const before = await picture();
  await component.source({ ...broken, code: C('in[i] * 0.25f') });
  assert(!before.equals(await picture()), 'a new revision makes another picture');
  assert((await component.getsource({ name: 'c/half' })).code.includes('0.25f'));

  const stopped = await network.stop({ graph: id });
  assert.strictEqual(stopped.running, false);
  const source = await component.getsource({ name: id });
  assert.strictEqual(Object.keys(JSON.parse(source.code).processes).length, 3);
  await client.disconnect();
  console.log('done');
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
