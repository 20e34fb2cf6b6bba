// A participant of the original library: sends on what it gets, and fails at what says so.
const msgflo = require('msgflo-nodejs');

module.exports = (client, role) => {
  const definition = {
    component: 'Repeat',
    label: 'Repeats its input',
    inports: [{ id: 'in', type: 'object' }],
    outports: [{ id: 'out', type: 'object' }],
  };
  const process = (inport, data, callback) => {
    if (data && data.fail) {
      return callback('out', new Error('told to fail'), null);
    }
    return callback('out', null, { repeated: data });
  };
  return new msgflo.participant.Participant(client, definition, process, role);
};
