/** A load that the process of the test has no part in: publishers as processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { MeshSite } from "./mesh.ts";

const ENTRY = fileURLToPath(new URL("load_publisher.ts", import.meta.url));

/** What a publisher is told. It publishes the events `from`, `from + step`, … */
export interface LoadOrders {
  readonly servers: string;
  readonly seed: string;
  readonly from: number;
  readonly step: number;
  /** Events a second. */
  readonly rate: number;
  /** Event `n` has the subject `n` modulo their number. */
  readonly subjects: readonly string[];
  /** Members of the payload beside `n`, as text of JSON. */
  readonly body: string;
  /** Where it writes the positions at its end. */
  readonly file: string;
}

export interface LoadOptions {
  readonly publishers: number;
  /** Events a second of all together. */
  readonly rate: number;
  readonly subjects: readonly string[];
  readonly body: string;
}

interface Publisher {
  readonly child: ChildProcess;
  readonly file: string;
  readonly ended: Promise<number | null>;
  count: number;
  seconds: number;
  deaf: number;
  /** Events that nobody has acknowledged. */
  unheard: number;
  said: string;
}

export class LoadProcesses implements AsyncDisposable {
  readonly #publishers: readonly Publisher[];

  /** Starts to publish at a site, as an app of the tenant. */
  constructor(site: MeshSite, tenant: string, { publishers, rate, subjects, body }: LoadOptions) {
    this.#publishers = Array.from({ length: publishers }, (_, from) => {
      const file = join(site.folder, `load-${tenant}-${from}`);
      const child = spawn(process.execPath, [ENTRY], { stdio: ["pipe", "pipe", "pipe"] });
      const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
      const publisher: Publisher = {
        child,
        file,
        ended,
        count: 0,
        seconds: 0,
        deaf: 0,
        unheard: 0,
        said: "",
      };
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.startsWith("{")) Object.assign(publisher, JSON.parse(line) as Partial<Publisher>);
        else publisher.count = Number(line);
      });
      child.stderr.on("data", (text) => {
        publisher.said += String(text);
      });
      const orders: LoadOrders = {
        servers: site.file.server?.listen ?? "",
        seed: site.seed(tenant),
        from,
        step: publishers,
        rate: rate / publishers,
        subjects,
        body,
        file,
      };
      child.stdin.write(`${JSON.stringify(orders)}\n`);
      return publisher;
    });
  }

  /** Events that are acknowledged, as far as it is known here. @throws Error when a publisher has failed */
  get count(): number {
    for (const { child, said } of this.#publishers) {
      if (child.exitCode !== null && child.exitCode !== 0) throw new Error(`A publisher ended: ${said}`);
    }
    return this.#publishers.reduce((sum, { count }) => sum + count, 0);
  }

  /** Events that were published again because nobody heard them: known when it has stopped. */
  get again(): number {
    return this.#publishers.reduce((sum, { deaf }) => sum + deaf, 0);
  }

  /** Events that nobody has acknowledged, stored or not: known when it has finished. */
  get unheard(): number {
    return this.#publishers.reduce((sum, { unheard }) => sum + unheard, 0);
  }

  /** Acknowledged events a second while they were published. */
  get rate(): number {
    return this.#publishers.reduce((sum, { count, seconds }) => sum + count / seconds, 0);
  }

  /** Stops, waits for the last acknowledgement. @returns the position of each event, by its number */
  async stop(): Promise<ReadonlyMap<number, number>> {
    for (const { child } of this.#publishers) child.stdin?.write("stop\n");
    const positions = new Map<number, number>();
    for (const [from, publisher] of this.#publishers.entries()) {
      const code = await publisher.ended;
      if (code !== 0) throw new Error(`A publisher ended with ${code}: ${publisher.said}`);
      if (publisher.unheard > 0) throw new Error(`${publisher.unheard} events are not acknowledged`);
      const bytes = readFileSync(publisher.file);
      const found = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      publisher.count = found.length;
      for (const [i, position] of found.entries()) {
        positions.set(from + i * this.#publishers.length, position);
      }
    }
    return positions;
  }

  /** Stops as {@link stop} does, and keeps no positions. @returns how many events are acknowledged */
  async finish(): Promise<number> {
    for (const { child } of this.#publishers) child.stdin?.write("stop\n");
    for (const publisher of this.#publishers) {
      const code = await publisher.ended;
      if (code !== 0) throw new Error(`A publisher ended with ${code}: ${publisher.said}`);
      publisher.count = statSync(publisher.file).size / Float64Array.BYTES_PER_ELEMENT - publisher.unheard;
    }
    return this.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#publishers) if (child.exitCode === null) child.kill("SIGKILL");
    await Promise.all(this.#publishers.map(({ ended }) => ended));
  }
}
