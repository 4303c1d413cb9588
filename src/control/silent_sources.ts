/**
 * Finds sources that should flow and are silent. When the request that attaches a source is lost (a link that is just
 * coming up), nats-server asks again only after 15 seconds, and later and later: taking the source out and in again asks
 * at once. Source: nats-server `server/stream.go`, calculateRetryBackoff.
 */
import { type ObservedStreams, sourceReports } from "./observe.ts";

/** A source hears of its origin every second; silent for longer than this, it is asked to attach again. */
const SILENT_MS = 3000;
/** Between two attempts for one source: doubles up to the second value. */
const RETRY_MS = 4000;
const MAX_RETRY_MS = 60_000;

/** A source of a stream, by the JetStream API prefix of its site. */
export interface SilentSource {
  readonly stream: string;
  readonly api: string;
  readonly source: string;
}

interface Silence {
  readonly since: number;
  readonly next: number;
  readonly waitMs: number;
}

export class SilentSources {
  readonly #now: () => number;
  #silences = new Map<string, Silence>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The sources to attach again now. `reachable`: whether the site behind a prefix answers and offers. */
  find(streams: ObservedStreams, reachable: (api: string) => boolean): SilentSource[] {
    const found: SilentSource[] = [];
    const still = new Map<string, Silence>();
    const now = this.#now();
    for (const [stream, { info }] of streams) {
      for (const report of sourceReports(info)) {
        const api = report.external?.api;
        if (api === undefined || !reachable(api)) continue;
        if (report.active >= 0 && report.active < SILENT_MS * 1e6) continue;
        const key = `${stream} ${api} ${report.name}`;
        const silence = this.#silences.get(key) ?? { since: now, next: now + SILENT_MS, waitMs: RETRY_MS };
        if (now < silence.next) {
          still.set(key, silence);
          continue;
        }
        still.set(key, {
          ...silence,
          next: now + silence.waitMs,
          waitMs: Math.min(silence.waitMs * 2, MAX_RETRY_MS),
        });
        found.push({ stream, api, source: report.name });
      }
    }
    this.#silences = still;
    return found;
  }
}
