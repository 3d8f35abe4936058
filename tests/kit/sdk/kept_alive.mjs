// Publishes by the server API with Node's own fetch, which keeps connections alive. Reads its options from the first
// argument, writes one JSON line per publication, and ends when its standard input does.
const {url, key, channel, interval} = JSON.parse(process.argv[2]);
let ended = false;
process.stdin.on("end", () => { ended = true; }).resume();

for (let sequence = 1; !ended; sequence += 1) {
  const outcome = {sequence, offset: 0, error: ""};
  try {
    const response = await fetch(`${url}/api/publish`, {
      method: "POST",
      headers: {"X-API-Key": key, "Content-Type": "application/json"},
      body: JSON.stringify({channel, data: {sequence}}),
    });
    const answer = await response.json();
    if (answer.result) outcome.offset = answer.result.offset;
    else outcome.error = `HTTP ${response.status}: ${JSON.stringify(answer)}`;
  } catch (error) {
    outcome.error = `${error} (${error.cause})`;
  }
  console.log(JSON.stringify(outcome));
  await new Promise((resolve) => { setTimeout(resolve, interval * 1000); });
}
process.exit(0);
