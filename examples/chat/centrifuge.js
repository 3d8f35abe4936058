// The room by Centrifugo's SDK: it recovers by itself, and is told who comes and goes.
import { chat } from './chat.js';

chat(({ room, url, token, view }) => {
  const client = new Centrifuge(`${url.replace(/^http/, 'ws')}/connection/websocket`, { getToken: token });
  const channel = client.newSubscription(`chat:${room}`, { recoverable: true, joinLeave: true });
  const members = new Map(); // users by the ids of their connections

  const show = ({ data, offset }) => view.message(data, offset);
  channel.on('publication', show);
  channel.on('join', ({ info }) => { members.set(info.client, info.user); view.members(members.values()); });
  channel.on('leave', ({ info }) => { members.delete(info.client); view.members(members.values()); });
  channel.on('subscribing', () => view.state('wait', 'connecting'));
  channel.on('subscribed', async ({ recovered }) => {
    view.state('good', 'connected');
    try {
      const { clients } = await channel.presence();
      members.clear();
      for (const { client: id, user } of Object.values(clients)) members.set(id, user);
      view.members(members.values());
      if (!recovered) (await channel.history({ limit: 50, reverse: true })).publications.forEach(show);
    } catch (error) {
      console.warn(error); // the connection is lost again: it is asked for with the next one
    }
  });
  channel.subscribe();
  client.connect();

  return (message) => channel.publish(message);
});
