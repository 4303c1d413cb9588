import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect } from "node:net";
import type { JetStreamManager } from "@nats-io/jetstream";
import { listDeadLetters } from "../../src/flow/dead_letters.ts";
import { outStream } from "../../src/model/names.ts";
import {
  POLICY,
  publishAll,
  readView,
  SITE,
  startFlowSite,
  startTestView,
  TENANT,
  type TestServer,
  until,
} from "./flow_support.ts";

/** Publishes under subjects that a client library may refuse; the server takes them. */
async function publishRaw(server: TestServer, subjects: readonly (string | Uint8Array)[]): Promise<void> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  socket.resume();
  socket.write('CONNECT {"verbose":false}\r\n');
  for (const subject of subjects) {
    socket.write(
      Buffer.concat([Buffer.from(`PUB ${SITE}.`), Buffer.from(subject), Buffer.from(" 1\r\nx\r\n")]),
    );
  }
  socket.end("PING\r\n");
  await once(socket, "close");
}

const stored = async (jsm: JetStreamManager) => (await jsm.streams.info(outStream(TENANT))).state.messages;

describe("a view and the subjects that a server takes", () => {
  test("puts events aside whose subject it cannot keep, and goes on", async () => {
    await using flow = await startFlowSite();
    const { server, nc, jsm } = flow;
    await publishAll(nc, [{ subject: "acme.a", data: "1" }]);
    const odd = [
      // As long as the server takes them: with what a view adds they are longer than it takes.
      `acme.long.${"a".repeat(4070)}`,
      `acme.bad.${"a".repeat(4070)}`,
      Uint8Array.from([...Buffer.from("acme.b"), 0xff, 0xfe]),
      "acme.*",
      "acme.>",
      "acme.ü\ufffd",
    ];
    await publishRaw(server, odd);
    await until(async () => (await stored(jsm)) === 1 + odd.length, "all is stored");
    await publishAll(nc, [{ subject: "acme.z", data: "2" }]);
    await using view = startTestView(nc, jsm);
    await until(() => view.stats().position === 2 + odd.length, "all is dealt with");
    expect(view.stats().restarts).toBe(0);
    const head = `${SITE}~${POLICY}.`;
    expect((await readView(jsm)).map((event) => event.subject)).toEqual(
      ["acme.a", "acme.*", "acme.>", "acme.ü\ufffd", "acme.z"].map((subject) => head + subject),
    );
    const { letters } = await listDeadLetters(jsm, TENANT);
    expect(letters.map((letter) => [letter.subject.slice(0, 8), letter.reason, letter.position])).toEqual([
      ["acme.lon", "subject_invalid", 2],
      ["acme.bad", "payload_not_json", 3],
      ["acme.b\ufffd\ufffd", "subject_invalid", 4],
    ]);
  }, 60_000);
});
