/** What one site received of one origin and tenant, judged one by one as it comes, and as a whole at the end. */
import type { LogEvent } from "./log_reader.ts";
import type { Publisher } from "./publisher.ts";
import {
  classOf,
  idOf,
  payloadOf,
  SECRET_MARK,
  type SiteName,
  subjectOf,
  VERSION_HEADER,
  verdictOf,
} from "./scenario.ts";

export type FaultKind = "lost" | "repeated" | "reordered" | "leaked" | "altered";

/** Events that a site has named as lost there for good: from the first to the last, of those that were stored before. */
export interface NamedRange {
  readonly first: number;
  readonly last: number;
  /** When it was seen, as {@link History.nowMs} says it. */
  readonly seenMs: number;
  /** {@link Publisher.life} of then: what is stored in a later one may have one of these sequences again. */
  readonly life: number;
}

/** Something that must not be. */
export interface Broken {
  readonly kind: FaultKind;
  /** For example `berlin.acme at tokyo`. */
  readonly route: string;
  readonly serial: number;
  readonly position: number;
  /** When the event was published, in milliseconds since the start. */
  readonly sentMs: number;
  readonly detail: string;
}

const MOST_TOLD = 50;
/** A version that an unstamped event may have: any. */
const UNSTAMPED = -1;

export class Arrivals {
  readonly at: SiteName;
  readonly publisher: Publisher;
  readonly broken: Broken[] = [];
  readonly counts: Record<FaultKind, number> = { lost: 0, repeated: 0, reordered: 0, leaked: 0, altered: 0 };
  /** Events that must have come, did not, and are of a range that an alarm of the site names as lost for good. */
  alarmed = 0;
  /** Events that arrived for the first time. */
  count = 0;
  /** Of those, the ones that every version lets through. */
  orders = 0;
  readonly #serials: number[] = [];
  readonly #versions: number[] = [];
  /** By serial: how often. */
  readonly #seen: number[] = [];
  #closedMs: number | null = null;

  constructor(publisher: Publisher, at: SiteName) {
    this.publisher = publisher;
    this.at = at;
  }

  get route(): string {
    return `${this.publisher.origin}.${this.publisher.tenant} at ${this.at}`;
  }

  get #local(): boolean {
    return this.publisher.origin === this.at;
  }

  /** Events that must be here whatever the version is, and are not. */
  missing(): number {
    if (this.#local) return this.publisher.acked - this.count;
    return this.publisher.ackedOrders - this.orders;
  }

  /** Whether of what must be here something did not come, while something behind it did: it is lost, or comes out of order. */
  get overtaken(): boolean {
    const { positions, keys, forgotten } = this.publisher;
    const last = this.#serials.reduce((most, serial) => Math.max(most, positions[serial] ?? 0), 0);
    return positions.some((position, serial) => {
      if (position === 0 || position > last || this.#seen[serial] !== undefined) return false;
      return classOf(keys[serial] ?? 0) === "orders" && forgotten[serial] !== true;
    });
  }

  /**
   * Nothing that is published from now on may arrive, until {@link opened}: the peer is no peer. What it takes before was on its
   * way.
   */
  closed(nowMs: number): void {
    this.#closedMs = nowMs;
  }

  opened(): void {
    this.#closedMs = null;
  }

  /** Its origin has lost these events: they count no more. */
  forget(serials: readonly number[]): void {
    for (const serial of serials) {
      if (!this.#seen[serial]) continue;
      this.count--;
      if (classOf(this.publisher.keys[serial] ?? 0) === "orders") this.orders--;
    }
  }

  /** The store of the site that it is of was put back from an older copy: what it has is read again. */
  restart(): void {
    this.count = 0;
    this.orders = 0;
    this.#serials.length = 0;
    this.#versions.length = 0;
    this.#seen.length = 0;
  }

  /** @param highest the newest version that may be in force. */
  take(event: LogEvent, highest: number): void {
    const serial = Number(/^\{"i":(\d+),/.exec(event.text)?.[1] ?? Number.NaN);
    const known = this.publisher.keys[serial];
    if (known === undefined) {
      this.#tell("altered", -1, `no event has this payload: ${event.subject} ${event.text.slice(0, 120)}`);
      return;
    }
    const of = this.publisher.eventOf(serial);
    const before = this.#seen[serial] ?? 0;
    this.#seen[serial] = before + 1;
    if (before > 0) {
      if (before <= (this.publisher.unsure[serial] ?? 0)) return;
      this.#tell("repeated", serial, `again as ${event.sequence} of the log`);
      return;
    }
    if (this.#closedMs !== null && (this.publisher.sentMs[serial] ?? 0) > this.#closedMs) {
      this.#tell("leaked", serial, "crossed while the peer was revoked");
    }
    if (this.publisher.forgotten[serial] !== true) {
      this.count++;
      if (classOf(of.key) === "orders") this.orders++;
    }
    const version = this.#judge(event, serial, highest);
    this.#serials.push(serial);
    this.#versions.push(version);
  }

  /** Judges subject, id and payload. @returns the version that it carries, or {@link UNSTAMPED} */
  #judge(event: LogEvent, serial: number, highest: number): number {
    const of = this.publisher.eventOf(serial);
    const subject = `${of.origin}.${subjectOf(of)}`;
    if (event.subject !== subject) this.#tell("altered", serial, `is ${event.subject}, expected ${subject}`);
    if (event.header("Nats-Msg-Id") !== idOf(of)) {
      this.#tell("altered", serial, `has id '${event.header("Nats-Msg-Id")}', expected ${idOf(of)}`);
    }
    if (event.header("x-app") !== String(serial)) this.#tell("altered", serial, "has lost its header x-app");
    if (this.#local) {
      if (event.text !== payloadOf(of)) this.#tell("altered", serial, event.text);
      return UNSTAMPED;
    }
    const stamp = event.header(VERSION_HEADER);
    const version = stamp === "" ? UNSTAMPED : Number(/^v(\d+)$/.exec(stamp)?.[1] ?? Number.NaN);
    if (Number.isNaN(version) || version > highest) {
      this.#tell("leaked", serial, `carries version '${stamp}', the newest is v${highest}`);
      return UNSTAMPED;
    }
    const versions = version === UNSTAMPED ? range(0, highest) : [version];
    const verdicts = versions.map((one) => verdictOf(of, one));
    const forwards = verdicts.filter((verdict) => verdict.type === "forward");
    if (forwards.length === 0) {
      this.#tell("leaked", serial, `version '${stamp}' lets it not out`);
    } else if (!forwards.some(({ payload }) => payload === event.text)) {
      const leaked = of.tenant === "acme" && event.text.includes(SECRET_MARK);
      this.#tell(leaked ? "leaked" : "altered", serial, event.text);
    } else if (!forwards.some((verdict) => verdict.stamp === (version !== UNSTAMPED))) {
      this.#tell("leaked", serial, "no version of the policy lets it out so: stamped, or without a stamp");
    }
    return version;
  }

  /**
   * Judges what has arrived as a whole, when all is published and nothing more comes.
   * @param final the version in force
   * @param lost ranges of sequences that the site's alarms name as lost there for good
   */
  judge(final: number, lost: readonly NamedRange[] = []): void {
    const { positions } = this.publisher;
    let last = 0;
    for (const serial of this.#serials) {
      if (this.publisher.unsure[serial] !== undefined) continue;
      const position = positions[serial] ?? 0;
      if (position < last) this.#tell("reordered", serial, `position ${position} came after ${last}`);
      last = Math.max(last, position);
    }
    const order = [...positions.keys()].sort(
      (left, right) => (positions[left] ?? 0) - (positions[right] ?? 0),
    );
    const versionAt = new Map(
      this.#serials.map((serial, index) => [
        serial,
        // It may have been decided where it was stored first, and have its position from where it was stored again.
        this.publisher.unsure[serial] !== undefined ? UNSTAMPED : (this.#versions[index] ?? UNSTAMPED),
      ]),
    );
    // Between the stamps before it and behind it lies the version that decided an event which did not come.
    const behind: number[] = new Array(order.length);
    let next = final;
    for (let index = order.length - 1; index >= 0; index--) {
      const version = versionAt.get(order[index] ?? -1) ?? UNSTAMPED;
      if (version !== UNSTAMPED) next = Math.min(next, version);
      behind[index] = next;
    }
    let before = 0;
    for (const [index, serial] of order.entries()) {
      const version = versionAt.get(serial);
      if (version !== undefined) {
        if (version === UNSTAMPED) continue;
        if (version < before) {
          this.#tell("leaked", serial, `decided by v${version} after v${before} was in force`);
        }
        before = Math.max(before, version);
        continue;
      }
      if (!this.#mustArrive(serial, before, behind[index] ?? final)) continue;
      const sequence = this.publisher.sequenceOf(serial);
      const sentMs = this.publisher.sentMs[serial] ?? 0;
      const isNamed = ({ first, last, seenMs, life }: NamedRange) =>
        first <= sequence && sequence <= last && sentMs < seenMs && this.publisher.lifeOf(serial) <= life;
      if (lost.some(isNamed)) {
        this.alarmed++;
      } else {
        this.#tell("lost", serial, `between v${before} and v${behind[index]} all let it out`);
      }
    }
  }

  #mustArrive(serial: number, from: number, to: number): boolean {
    if (this.publisher.forgotten[serial] === true) return false;
    if (this.#local) return true;
    const event = this.publisher.eventOf(serial);
    // A native route stamps nothing: which version decided cannot be told from its neighbours.
    const [first, last] = event.tenant === "acme" ? [from, Math.max(from, to)] : [0, to];
    return range(first, last).every((version) => verdictOf(event, version).type === "forward");
  }

  #tell(kind: FaultKind, serial: number, detail: string): void {
    this.counts[kind]++;
    if (this.broken.length >= MOST_TOLD) return;
    const { positions, sentMs, keys } = this.publisher;
    const subject = keys[serial] === undefined ? "" : `${subjectOf(this.publisher.eventOf(serial))} `;
    this.broken.push({
      kind,
      route: this.route,
      serial,
      position: positions[serial] ?? 0,
      sentMs: sentMs[serial] ?? 0,
      detail: `${subject}${detail}`,
    });
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}
