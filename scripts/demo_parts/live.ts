/** The live demo: keeps publishing, shows what flows, starts a sidecar again that was killed. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { sleep } from "../../src/nats/wait.ts";
import { Apps } from "./apps.ts";
import { Checker } from "./checker.ts";
import { type LiveState, renderLive } from "./live_table.ts";
import type { Example } from "./payloads.ts";
import type { Ring } from "./ring.ts";
import { makeEvents, READ_LOG, SITES, type Site, TENANTS, type Tenant } from "./scenario.ts";
import type { Link } from "./site_api.ts";

/** Between two events of one publisher: six of them make 30 events a second. */
const PAUSE_MS = 200;
const RETRY_MS = 500;
const TABLE_MS = 1000;
/** Where the output is no terminal. */
const PLAIN_TABLE_MS = 10_000;
const RESTART_MS = 10_000;
const API_DEADLINE_MS = 800;
/** Events that are checked: about an hour of them. */
const KEEP_EVENTS = 100_000;

/** Runs until the signal aborts. */
export async function runLive(ring: Ring, examples: readonly Example[], signal: AbortSignal): Promise<void> {
  const checker = new Checker([READ_LOG], KEEP_EVENTS);
  await using apps = await Apps.open(ring, (message) => checker.received(message));
  const live = new Live(ring, apps, checker, examples, signal);
  process.stdout.write(await introduction(ring));
  await Promise.all([
    ...SITES.flatMap((site) => TENANTS.map((tenant) => live.publish(site, tenant))),
    ...SITES.map((site) => live.keepSidecar(site)),
    live.show(),
  ]);
}

class Live {
  readonly #ring: Ring;
  readonly #apps: Apps;
  readonly #checker: Checker;
  readonly #examples: readonly Example[];
  readonly #signal: AbortSignal;
  readonly #news = new Map<Site, string>();
  #published = 0;
  #duplicates = 0;

  constructor(ring: Ring, apps: Apps, checker: Checker, examples: readonly Example[], signal: AbortSignal) {
    this.#ring = ring;
    this.#apps = apps;
    this.#checker = checker;
    this.#examples = examples;
    this.#signal = signal;
  }

  /** One publisher: all payloads, round after round. */
  async publish(site: Site, tenant: Tenant): Promise<void> {
    let firstSequence = 0;
    for (let number = 0; !this.#signal.aborted; number++) {
      const events = makeEvents(site, tenant, this.#examples, { number, firstSequence });
      firstSequence += events.length;
      for (const event of events) {
        this.#checker.expect(event);
        await this.#send(event);
        if (event.twice) await this.#send(event, 2);
        await sleep(PAUSE_MS, this.#signal);
        if (this.#signal.aborted) return;
      }
    }
  }

  /** Starts the site's sidecar again some time after it ended. */
  async keepSidecar(site: Site): Promise<void> {
    while (!this.#signal.aborted) {
      const { pid, ended } = this.#ring.sidecar(site);
      if (ended !== null) {
        const seconds = RESTART_MS / 1000;
        const what = `the sidecar of ${site} (process ${pid}) ended: ${ended}`;
        this.#news.set(
          site,
          `${what}; native routes flow on, views wait; it is started again after ${seconds} s`,
        );
        await sleep(RESTART_MS, this.#signal);
        if (this.#signal.aborted) return;
        this.#ring.startSidecar(site);
        this.#news.set(
          site,
          `the sidecar of ${site} was started again as process ${this.#ring.sidecar(site).pid}`,
        );
      }
      await sleep(250, this.#signal);
    }
  }

  /** Prints the table: in place on a terminal, again and again elsewhere. */
  async show(): Promise<void> {
    const { stdout } = process;
    const started = performance.now();
    let before = new Map<string, number>();
    let last = started;
    let height = 0;
    while (!this.#signal.aborted) {
      await sleep(stdout.isTTY ? TABLE_MS : PLAIN_TABLE_MS, this.#signal);
      const now = performance.now();
      const state: LiveState = {
        seconds: (now - started) / 1000,
        published: this.#published,
        duplicatesStopped: this.#duplicates,
        checker: this.#checker,
        links: await this.#links(),
        before,
        sinceSeconds: (now - last) / 1000,
        news: [...this.#news.values()],
      };
      const width = stdout.isTTY ? stdout.columns : Number.POSITIVE_INFINITY;
      const lines = renderLive(state).map((line) => line.slice(0, width));
      if (stdout.isTTY && height > 0) stdout.write(`\x1b[${height}A\x1b[J`);
      stdout.write(`${lines.join("\n")}\n${stdout.isTTY ? "" : "\n"}`);
      height = lines.length;
      before = new Map([...this.#checker.flows].map(([key, flow]) => [key, flow.events]));
      last = now;
    }
  }

  /** Publishes until the server has acknowledged: the id makes a second try harmless. */
  async #send(event: Parameters<Apps["publish"]>[0], firstAttempt = 1): Promise<void> {
    for (let attempt = firstAttempt; !this.#signal.aborted; attempt++) {
      try {
        if (await this.#apps.publish(event, attempt)) this.#duplicates++;
        else this.#published++;
        return;
      } catch {
        await sleep(RETRY_MS, this.#signal);
      }
    }
  }

  async #links(): Promise<ReadonlyMap<Site, readonly Link[]>> {
    const found = new Map<Site, readonly Link[]>();
    await Promise.all(
      SITES.map(async (site) => {
        const links = await this.#ring.apis[site]
          .links(AbortSignal.timeout(API_DEADLINE_MS))
          .catch(() => null);
        if (links !== null) found.set(site, links);
      }),
    );
    return found;
  }
}

/** A policy to try: tokyo gets no pull requests any more. */
const NARROW = {
  name: "for-tokyo",
  to: ["tokyo"],
  rules: [
    {
      name: "embargo",
      subjects: ["acme.github.>"],
      when: '"x-internal-class" in headers && headers["x-internal-class"] == "restricted"',
      deny: true,
    },
    { name: "no-pull-requests", subjects: ["acme.github.pull_request.>"], deny: true },
    { name: "no-internal-headers", subjects: ["acme.github.>"], headers: { drop: ["x-internal-*"] } },
  ],
};

async function introduction(ring: Ring): Promise<string> {
  const policy = join(ring.folder, "for-tokyo.json");
  await writeFile(policy, `${JSON.stringify(NARROW, null, 2)}\n`);
  const cli = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const { berlin } = ring.apis;
  const leafmesh = `bun ${cli}`;
  const client = `--api ${berlin.url} --token-file ${berlin.tokenFile}`;
  return `${[
    "",
    "Each site is a sidecar process with its own nats-server:",
    ...SITES.map((site) => {
      const { listen } = ring.addresses[site];
      return `  ${site}  apps nats://${listen}  api ${ring.apis[site].url}  token in ${ring.apis[site].tokenFile}`;
    }),
    `Site files, logs and the keys of the apps' users (apps/*.nk) are in ${ring.folder}`,
    "",
    "To try, in another terminal:",
    `  ${leafmesh} links ${client}`,
    `  ${leafmesh} dlq list acme ${client}`,
    "  # no more pull requests of acme for tokyo: what it gets otherwise goes on without a gap",
    `  curl -X PUT ${berlin.url}/v1/tenants/acme/exports/for-tokyo -H 'if-match: *' -H 'content-type: application/json' \\`,
    `    -H "authorization: Bearer $(cat ${berlin.tokenFile})" --data @${policy}`,
    `  kill -9 ${ring.sidecar("berlin").pid}   # berlin's sidecar: globex flows on, acme's view waits and catches up`,
    "  # leaks are what the policies of the start do not let out: a policy that lets out more shows up as leaks",
    "  Ctrl-C ends the demo and stops all of it",
    "",
  ].join("\n")}\n`;
}
