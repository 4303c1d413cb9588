/** Older copies of stores, put back as after a restored disk. */
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type JetStreamClient, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { MeshSite } from "./mesh.ts";
import { waitFor } from "./wait_for.ts";

/** A copy of a site's store, or of one stream of it (`<account>/<stream>`). */
export class OlderCopy {
  readonly #site: MeshSite;
  readonly #path: string;
  readonly #copy: string;

  constructor(site: MeshSite, stream?: `${string}/${string}`) {
    this.#site = site;
    const [account, name] = stream?.split("/") ?? [];
    const part = account === undefined ? "" : join("jetstream", account, "streams", name ?? "");
    this.#path = join(site.dataFolder, "store", part);
    this.#copy = join(site.folder, `copy ${stream?.replace("/", " ") ?? ""}`);
  }

  /** Takes copies while their site is stopped, and starts it again. */
  static async takeAll(site: MeshSite, copies: readonly OlderCopy[]): Promise<void> {
    await site.end("SIGTERM");
    for (const copy of copies) await cp(copy.#path, copy.#copy, { recursive: true });
    await site.start();
  }

  /** Takes the copy while the site is stopped, and starts it again. */
  async take(): Promise<void> {
    await OlderCopy.takeAll(this.#site, [this]);
  }

  /** Puts the copy back. The server is killed with its sidecar; who wants them starts them again. */
  async putBack(): Promise<void> {
    await this.#site.kill();
    await rm(this.#path, { recursive: true });
    await rename(this.#copy, this.#path);
  }
}

/** Publishes `{n}` for each number to `<tenant>.orders.`, and waits for the acknowledgements. @returns the last sequence */
export async function publishNumbers(
  js: JetStreamClient,
  tenant: string,
  from: number,
  to: number,
): Promise<number> {
  let last = 0;
  for (let n = from; n <= to; ) {
    const some = Array.from({ length: Math.min(500, to - n + 1) }, (_, index) => n + index);
    const acks = await Promise.all(
      some.map((one) =>
        js.publish(`${tenant}.orders.k${one % 5}`, JSON.stringify({ n: one }), { timeout: 20_000 }),
      ),
    );
    last = Math.max(last, ...acks.map(({ seq }) => seq));
    n += some.length;
  }
  return last;
}

/** Waits until the log of a tenant has so many events. */
export async function logHas(nc: NatsConnection, tenant: string, least: number): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await waitFor(
    async () => {
      const { messages } = (await jsm.streams.info(tenant)).state;
      return messages >= least || Promise.reject(new Error(`${messages} events`));
    },
    { what: `${least} events of ${tenant}`, deadlineMs: 60_000, pollMs: 200 },
  );
}

/** The details of the alarms of a name at a site, by their targets. */
export async function alarmsOf(site: MeshSite, name: string): Promise<Record<string, string>> {
  const { items } = await site.json<{ items: readonly { name: string; target: string; detail: string }[] }>(
    "/v1/alarms",
  );
  return Object.fromEntries(
    items.filter((alarm) => alarm.name === name).map(({ target, detail }) => [target, detail]),
  );
}

/** Whole numbers from one to another. */
export const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
