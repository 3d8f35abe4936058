// The room by Socket.IO: on any server the socket goes on with its id, its rooms, and every event that it missed.
import { chat } from './chat.js';

const ACK_MS = 5000;
const PRESENCE_MS = 2000;

chat(({ room, url, token, view }) => {
  const socket = io(`${url}/chat`, {
    transports: ['websocket'],
    auth: (give) => token().then((found) => give({ token: found })),
  });
  const call = async (...event) => {
    const answer = await socket.timeout(ACK_MS).emitWithAck(...event);
    if (answer.error) throw new Error(answer.error.message);
    return answer;
  };
  // the last argument of every event is its position: an epoch and a number
  const show = (message, position) => view.message(message, Number(position?.split('-').pop() ?? Number.MAX_VALUE));
  const look = async () => {
    const { presence } = await call('presence', room);
    view.members(Object.values(presence).map(({ user }) => user));
  };

  socket.on('message', show);
  socket.on('disconnect', () => view.state('wait', 'connecting'));
  socket.on('connect_error', (error) => {
    view.state('wait', error.message);
    if (!socket.active) setTimeout(() => socket.connect(), 1000); // refused: with another token, later
  });
  socket.on('connect', async () => {
    try {
      if (!socket.recovered) {
        await call('subscribe', room);
        const { publications } = await call('history', room, { limit: 50, reverse: true });
        for (const { event: [, ...args] } of publications) show(...args);
      }
      view.state('good', 'connected');
      await look();
    } catch (error) {
      console.warn(error);
      if (socket.connected) socket.disconnect().connect(); // not in the room: begin anew
    }
  });
  setInterval(() => socket.connected && look().catch(console.warn), PRESENCE_MS); // nobody tells who comes and goes

  return (message) => call('publish', room, 'message', message);
});
