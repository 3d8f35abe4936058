// The page itself, the same for both SDKs.

const element = (id) => document.getElementById(id);
const ROOM = 'lobby';
const RETRY_MS = 500;

/** Where to connect as this user; asked for again when a token has expired. */
async function credentials(name) {
  const answer = await fetch(`token?name=${encodeURIComponent(name)}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** What a client of any protocol shows. */
class View {
  #name;
  #items = new Map(); // of messages, by their ids

  constructor(name) {
    this.#name = name;
  }

  /** Show what the connection does; `kind`: good, wait. */
  state(kind, text) {
    element('state').dataset.kind = kind;
    element('state').textContent = text;
  }

  /** Show who is here, each once. */
  members(names) {
    element('members').replaceChildren(
      ...[...new Set(names)].sort().map((name) => Object.assign(document.createElement('li'), { textContent: name })),
    );
  }

  /** Show a message at its place; one that comes again is shown once, at the first of its places. */
  message({ id, from, text }, order = Infinity) {
    const list = element('messages');
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    let item = this.#items.get(id);
    if (item && item.order <= order) return;
    if (!item) {
      item = document.createElement('li');
      item.append(Object.assign(document.createElement('b'), { textContent: from }), text);
      this.#items.set(id, item);
    }
    item.order = order;
    item.className = `${from === this.#name ? 'own' : ''} ${order === Infinity ? 'sending' : ''}`;
    list.insertBefore(item, [...list.children].find((other) => other !== item && other.order > order) ?? null);
    if (atEnd || from === this.#name) list.scrollTop = list.scrollHeight;
  }
}

/**
 * Ask for a name, then chat. `connect({ room, user, view })` returns a function that publishes a message, and rejects
 * when that failed.
 */
export function chat(connect) {
  element('join').addEventListener('submit', async (event) => {
    event.preventDefault();
    const name = element('name').value.trim();
    let first;
    try {
      first = await credentials(name);
    } catch (error) {
      element('why').textContent = error.message;
      return;
    }
    element('door').hidden = true;
    element('chat').hidden = false;
    element('text').focus();
    const view = new View(name);
    view.state('wait', 'connecting');
    const token = async () => (await credentials(name)).token;
    const publish = connect({ room: ROOM, url: first.url, token, view });

    let sending = Promise.resolve(); // one after the other, so that they keep their order
    element('say').addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      // the id lets everyone drop a message that was sent again, because its acknowledgement was lost
      const message = { id: crypto.randomUUID(), from: name, text: element('text').value };
      element('text').value = '';
      view.message(message);
      sending = sending.then(() => untilDone(() => publish(message)));
    });
  });
}

async function untilDone(attempt) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      console.warn(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}
