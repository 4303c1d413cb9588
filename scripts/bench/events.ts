/** Fills a stream with events to measure with: about 300 bytes of JSON, two headers and an id each. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { FencedWriter } from "../../src/nats/fenced_writer.ts";

/** An event's payload. */
export function payload(i: number): string {
  const id = String(i).padStart(8, "0");
  return `{"id":"ord-${id}","customer":{"id":"c-${i % 5000}","email":"ana.${i % 5000}@example.com","phone":"+49 30 1234${i % 10000}"},"items":[{"sku":"SKU-${i % 977}","qty":${1 + (i % 7)},"price":${(i % 9973) / 100}},{"sku":"SKU-${i % 131}","qty":1,"price":12.50}],"total":${(i % 99991) / 100},"currency":"EUR","region":"EU","note":"leave at the door"}`;
}

/** Stores `count` events in `stream`, on subjects `<prefix>orders.<0..9>.v1`. */
export async function fill(
  nc: NatsConnection,
  jsm: JetStreamManager,
  stream: string,
  prefix: string,
  count: number,
): Promise<void> {
  const encoder = new TextEncoder();
  const tail = encoder.encode("region: EU\r\ncontent-type: application/json\r\n\r\n");
  const { last_seq: lastSequence } = (await jsm.streams.info(stream)).state;
  await new Promise<void>((resolve, reject) => {
    let next = 0;
    const pump = () => {
      while (writer.ready && next < count) {
        const id = `5f3c2a90-7b1d-4c8e-9f10-${String(next).padStart(12, "0")}`;
        const head = encoder.encode(`Nats-Msg-Id: ${id}\r\n`);
        writer.append({
          subject: encoder.encode(`${prefix}orders.${next % 10}.v1`),
          head,
          headTo: head.length,
          tail,
          tailFrom: 0,
          data: encoder.encode(payload(next)),
        });
        next++;
      }
    };
    const writer = new FencedWriter({
      nc,
      lastSequence,
      onReady: pump,
      onStored: (stored) => {
        if (stored === count) {
          writer.close();
          resolve();
        }
      },
      onFailed: (failure) => reject(new Error(`${failure.type}: ${failure.message}`)),
    });
    pump();
  });
}

/** Waits until a stream holds `count` messages. @returns events a second between its first and its last one */
export async function storedRate(jsm: JetStreamManager, stream: string, count: number): Promise<number> {
  const deadline = Date.now() + 180_000;
  for (;;) {
    const { state } = await jsm.streams.info(stream);
    if (state.messages >= count) {
      return ((count - 1) * 1000) / (stampMs(state.last_ts) - stampMs(state.first_ts));
    }
    if (Date.now() > deadline) throw new Error(`Stream '${stream}' stays at ${state.messages} of ${count}`);
    await Bun.sleep(200);
  }
}

/** Milliseconds, with fractions, of an RFC 3339 time with nanoseconds. */
function stampMs(text: string | undefined): number {
  const time = text ?? "";
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  const whole = Date.parse(time.replace(/\.\d+/, ""));
  return whole + Number(`0.${fraction || "0"}`) * 1000;
}
