/**
 * A publisher as a process of its own: numbered events at a rate, many in flight, each counted when the stream has acknowledged it, and
 * published again under its Nats-Msg-Id where nobody has for a while, as any app must.
 * Reads its orders from standard input: one line of JSON, then `stop`. Says how many are acknowledged, line by line, and at
 * the end writes their positions as 64-bit floats to a file.
 */

import { writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { createInbox, headers } from "@nats-io/transport-node";
import { signingKeyOf } from "../../src/nats/keys.ts";
import { letIn } from "./let_in.ts";
import type { LoadOrders } from "./load_processes.ts";

const TICK_MS = 5;
/** No publisher runs further ahead of the stream. */
const IN_FLIGHT = 4_000;
/** A server that hangs is started again after a minute. */
const ACK_MS = 120_000;
const AGAIN_MS = 5;
/** An event that nobody has acknowledged for so long is published again. */
const UNHEARD_MS = 5_000;
const LOGIN_DEADLINE_MS = 120_000;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const orders = JSON.parse((await lines.next()).value ?? "") as LoadOrders;
const seed = new TextEncoder().encode(orders.seed);
const nc = await letIn(
  {
    servers: orders.servers,
    authenticator: signingKeyOf(seed).authenticator,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    ignoreAuthErrorAbort: true,
  },
  { deadlineMs: LOGIN_DEADLINE_MS },
);

let positions = new Float64Array(1 << 20);
let sent = 0;
let acked = 0;
/** Events that were sent again. */
let deaf = 0;
/** By number of an event that is not acknowledged: when it was sent. The oldest comes first. */
const inFlight = new Map<number, number>();
const inbox = createInbox();
let done = () => {};
nc.subscribe(`${inbox}.*`, {
  callback: (_error, message) => {
    const index = Number(message.subject.slice(inbox.length + 1));
    // Nobody was there: a server that reads its configuration anew is deaf for a moment.
    if (message.headers?.code === 503) {
      deaf++;
      setTimeout(() => send(index), AGAIN_MS);
      return;
    }
    const ack = /"seq": ?(\d+)/.exec(message.string());
    if (ack === null) fail(`event ${message.subject} is refused: ${message.string()}`);
    if (positions[index] !== 0) {
      // What was sent twice is answered twice, with the place of the first.
      if (positions[index] !== Number(ack?.[1])) fail(`event ${index} is stored twice`);
      return;
    }
    positions[index] = Number(ack?.[1]);
    inFlight.delete(index);
    if (++acked === sent) done();
  },
});

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function publish(): void {
  if (sent === positions.length) {
    const more = new Float64Array(2 * sent);
    more.set(positions);
    positions = more;
  }
  send(sent++);
}

function send(index: number): void {
  const n = orders.from + index * orders.step;
  const subject = orders.subjects[n % orders.subjects.length] ?? "";
  const id = headers();
  id.set("Nats-Msg-Id", `${inbox}.${index}`);
  inFlight.delete(index);
  inFlight.set(index, performance.now());
  nc.publish(subject, `{"n":${n},${orders.body}}`, { headers: id, reply: `${inbox}.${index}` });
}

/** Publishes again what nobody has acknowledged for a while. */
function sendUnheard(): void {
  const late = performance.now() - UNHEARD_MS;
  for (const [index, at] of [...inFlight]) {
    if (at > late) return;
    deaf++;
    send(index);
  }
}

const started = performance.now();
const timer = setInterval(() => {
  const due = ((performance.now() - started) / 1_000) * orders.rate;
  while (sent < due && sent - acked < IN_FLIGHT) publish();
}, TICK_MS);
const report = setInterval(() => process.stdout.write(`${acked}\n`), 100);
const unheard = setInterval(sendUnheard, 1_000);
await lines.next();
clearInterval(timer);
const seconds = (performance.now() - started) / 1_000;
if (acked < sent) {
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, ACK_MS);
    done = () => {
      clearTimeout(late);
      resolve();
    };
  });
}
clearInterval(report);
clearInterval(unheard);
writeFileSync(orders.file, new Uint8Array(positions.buffer, 0, 8 * sent));
process.stdout.write(`${acked}\n${JSON.stringify({ seconds, deaf, unheard: sent - acked })}\n`);
await nc.close();
process.exit(0);
