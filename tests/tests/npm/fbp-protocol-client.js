// Drives a runtime with npm fbp-protocol-client, as editors do: the secret is in the payload.
const assert = require('assert');
const { getTransport } = require('fbp-protocol-client');

const [address, secret] = process.argv.slice(2);
const Runtime = getTransport('websocket');
const runtime = new Runtime({ address, protocol: 'websocket', secret });

const waiting = [];
runtime.on('message', (message) => {
  assert(!JSON.stringify(message).includes('"secret"'), 'a secret came back');
  if (message.command === 'error') throw new Error(JSON.stringify(message));
  const at = waiting.findIndex((wait) => wait.protocol === message.protocol && wait.command === message.command);
  if (at >= 0) waiting.splice(at, 1)[0].resolve(message.payload);
});
runtime.on('error', (error) => { throw error; });
const heard = (protocol, command) => new Promise((resolve) => waiting.push({ protocol, command, resolve }));
const graph = async (command, payload) => {
  const answer = heard('graph', command);
  runtime.sendGraph(command, payload);
  return answer;
};

async function main() {
  const described = heard('runtime', 'runtime');
  runtime.connect();
  const definition = await described;
  for (const name of ['protocol:graph', 'protocol:component', 'protocol:network', 'protocol:runtime']) {
    assert(definition.capabilities.includes(name), name);
  }
  const ready = heard('component', 'componentsready');
  runtime.sendComponent('list', {});
  assert(await ready > 70);
  await graph('clear', { id: 'tests/two', name: 'two', main: true });
  await graph('addnode', { id: 'board', component: 'gegl/checkerboard', graph: 'tests/two' });
  await graph('addnode', { id: 'cut', component: 'gegl/crop', graph: 'tests/two' });
  await graph('addedge', { src: { node: 'board', port: 'output' }, tgt: { node: 'cut', port: 'input' }, graph: 'tests/two' });
  for (const [port, data] of [['width', 120], ['height', 90]]) {
    await graph('addinitial', { src: { data }, tgt: { node: 'cut', port }, graph: 'tests/two' });
  }
  await graph('addoutport', { public: 'output', node: 'cut', port: 'output', graph: 'tests/two' });
  const [started, packet] = [heard('network', 'started'), heard('runtime', 'packet')];
  runtime.sendNetwork('start', { graph: 'tests/two' });
  assert.strictEqual((await started).started, true);
  const { payload: url } = await packet;
  const picture = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.strictEqual(picture.readUInt32BE(16), 120);
  assert.strictEqual(picture.readUInt32BE(20), 90);
  console.log('done');
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
