/**
 * Finds sources that should flow and are silent. When the request that attaches a source is lost (a link that is just
 * coming up), nats-server asks again only after 15 seconds, and later and later, unless it hears something of the consumer
 * meanwhile: so it is told something. Where that does not help, the source is taken out and put in again: at once where the server
 * has refused to put it in, as it does on a full disk, and shows it all the same: such a source may never ask.
 * Source: nats-server `server/stream.go`, calculateRetryBackoff, startProbeSubscription and updateWithAdvisory.
 */
import type { StreamAccount } from "./assets.ts";
import { heardWithin, type Observed, sourceReports } from "./observe.ts";
import { Retries } from "./retries.ts";

/** A source hears of its origin every second; silent for longer than this, it is asked to attach again. */
const SILENT_MS = 3000;
/** The same of what fills a log: it comes from the same server, so silence is rare, and a server that is busy is no reason. */
const SILENT_LOG_MS = 10_000;

/** So often a server is woken before a source is taken out: while it is out, nothing but this sidecar can put it in again. */
const WOKEN = 5;

/** A source of a stream, by the JetStream API prefix of its site. */
export interface SilentSource {
  readonly account: StreamAccount;
  readonly stream: string;
  readonly api: string;
  readonly source: string;
  /** How: the server is woken, or the source taken out and put in again. */
  readonly by: "wake" | "anew";
}

export class SilentSources {
  readonly #retries: Retries;
  readonly #full: () => boolean;
  /** Keys of those that the server has refused to put in. */
  readonly #refused = new Set<string>();

  /**
   * @param now milliseconds of a clock that never goes back.
   * @param full whether the disk of the store has no room: what is refused then is refused again. Default: it is not known
   */
  constructor(now: () => number, full: () => boolean = () => false) {
    this.#retries = new Retries(now);
    this.#full = full;
  }

  /** The server has answered that it has put a source in, or could not. */
  putIn(source: Omit<SilentSource, "by">, refused: boolean): void {
    if (refused) this.#refused.add(keyOf(source));
    else this.#refused.delete(keyOf(source));
  }

  /**
   * The sources to attach again now: of peers, and of the tenants' logs.
   * @param reachable whether the site behind a prefix answers and offers
   */
  find(observed: Pick<Observed, "mesh" | "logs">, reachable: (api: string) => boolean): SilentSource[] {
    const silent: {
      readonly key: string;
      readonly holdMs: number;
      readonly source: Omit<SilentSource, "by">;
    }[] = [];
    for (const { account, info, silentMs } of sourced(observed)) {
      const stream = info.config.name;
      for (const report of sourceReports(info)) {
        const api = report.external?.api;
        if (api === undefined || (account.type === "mesh" && !reachable(api))) continue;
        const source = { account, stream, api, source: report.name };
        const key = keyOf(source);
        if (heardWithin(report, silentMs)) this.#refused.delete(key);
        else if (!this.#refused.has(key) || !this.#full()) silent.push({ key, holdMs: silentMs, source });
      }
    }
    return this.#retries.due(silent).map(({ key, source, attempt }) => ({
      ...source,
      by: attempt > WOKEN || this.#refused.has(key) ? "anew" : "wake",
    }));
  }
}

function keyOf({ account, stream, api, source }: Omit<SilentSource, "by">): string {
  return `${account.type === "mesh" ? "" : account.tenant} ${stream} ${api} ${source}`;
}

/** The streams that have sources, where they are, and for how long their sources may be silent. */
function* sourced({ mesh, logs }: Pick<Observed, "mesh" | "logs">) {
  for (const { info } of mesh.values())
    yield { account: { type: "mesh" } as const, info, silentMs: SILENT_MS };
  for (const [tenant, info] of logs)
    if (info !== null) yield { account: { type: "tenant", tenant } as const, info, silentMs: SILENT_LOG_MS };
}
