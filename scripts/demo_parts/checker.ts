/**
 * Holds what apps received against what was published, event by event. It counts what it sees at the receivers; how the
 * events got there it does not know.
 */
import { LatencyWindow } from "./latency.ts";
import { checkRedaction, type PersonalMember, type WrittenPayload } from "./personal_data.ts";

/** What must be hidden from the receivers at one site. */
export interface Treatment {
  /** Empty: the payload must arrive byte for byte. */
  readonly redact: readonly PersonalMember[];
  /** Texts that must stand nowhere in what is received. */
  readonly secrets: readonly string[];
  /** Prefix of the headers that must be gone, lower case. */
  readonly dropHeaders: string | null;
}

/** An event as it is published, with who may see what of it. */
export interface ExpectedEvent {
  /** Its `Nats-Msg-Id`. */
  readonly id: string;
  readonly tenant: string;
  readonly origin: string;
  readonly subject: string;
  /** Grows by publisher (origin and tenant). */
  readonly sequence: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** As bytes, or as JSON with the way it is written. */
  readonly payload: Uint8Array | WrittenPayload;
  /** Sites that must get it, beside its origin. */
  readonly audience: ReadonlySet<string>;
  readonly treatmentAt: (site: string) => Treatment;
}

/** A message that an app received. */
export interface Observation {
  readonly site: string;
  /** Tenant of the app that received it. */
  readonly tenant: string;
  /** A core subscription, or a consumer of the tenant's log. */
  readonly via: "app" | "log";
  readonly subject: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly data: Uint8Array;
  /** On the clock of `SENT_HEADER`, milliseconds. */
  readonly atMs: number;
}

export type FaultKind = "leak" | "echo" | "reordered" | "altered" | "missing";

/** A broken promise. `text` holds names and numbers, never what leaked. */
export interface Fault {
  readonly kind: FaultKind;
  readonly site: string;
  readonly id: string;
  readonly text: string;
}

export const ID_HEADER = "nats-msg-id";
/** Milliseconds on the publisher's clock. */
export const SENT_HEADER = "demo-sent";
/** `1`, and more where the event is published again. */
export const ATTEMPT_HEADER = "demo-attempt";
/** Headers that servers and sidecars add. */
const ADDED = /^(nats-|leafmesh-|demo-)/;
/** Samples of one kind of fault with one text. */
const MAX_SAMPLES = 3;
const MAX_TEXTS = 20;

/** One flow that was seen. */
export interface FlowCount {
  readonly origin: string;
  readonly site: string;
  readonly tenant: string;
  events: number;
  readonly latency: LatencyWindow;
}

/** Checks every message against its event, and keeps the counts. */
export class Checker {
  readonly counts: Record<FaultKind, number> = { leak: 0, echo: 0, reordered: 0, altered: 0, missing: 0 };
  /** The first faults, as samples. */
  readonly faults: Fault[] = [];
  /** Remote events that core subscribers received, by site. */
  readonly delivered = new Map<string, number>();
  readonly flows = new Map<string, FlowCount>();
  readonly latency = new LatencyWindow();
  /** Remote events that core subscribers received with a redaction in them, and without a class of headers. */
  redacted = 0;
  withoutHeaders = 0;
  /** Whether latencies go into `latency`. */
  measuring = true;
  /** Remote deliveries to core subscribers, and events in logs, that are still to come. */
  outstanding = 0;
  readonly #events = new Map<string, ExpectedEvent>();
  readonly #seen = new Set<string>();
  readonly #seenAbroad = new Set<string>();
  readonly #samples = new Map<string, number>();
  readonly #last = new Map<string, number>();
  readonly #logs: readonly { readonly site: string; readonly tenant: string }[];
  readonly #keep: number;
  #forgotten = 0;

  /**
   * @param logs the tenants' logs that are read, beside the core subscriptions
   * @param keep events to remember; older ones are no longer checked
   */
  constructor(
    logs: readonly { readonly site: string; readonly tenant: string }[],
    keep: number = Number.POSITIVE_INFINITY,
  ) {
    this.#logs = logs;
    this.#keep = keep;
  }

  /** To be called before the event is published. */
  expect(event: ExpectedEvent): void {
    this.#events.set(event.id, event);
    this.outstanding += event.audience.size + this.#logsOf(event).length;
    if (this.#events.size > this.#keep) this.#forgetOldest();
  }

  received(message: Observation): void {
    const headers = new Map(message.headers.map(([name, value]) => [name.toLowerCase(), value]));
    const id = headers.get(ID_HEADER) ?? "";
    const event = this.#events.get(id);
    if (event === undefined) {
      if (this.#forgotten === 0) this.#fault("leak", message, id, "an event that nobody published");
      return;
    }
    const home = event.origin === message.site;
    const attempt = headers.get(ATTEMPT_HEADER) ?? "1";
    const times = `${message.site} ${message.via} ${id}${home && message.via === "app" ? ` ${attempt}` : ""}`;
    if (this.#seen.has(times)) {
      this.#fault("echo", message, id, home ? "it came back to its origin" : "it was received before");
      return;
    }
    this.#seen.add(times);
    this.#checkPlace(event, message);
    if (attempt === "1") this.#checkOrder(event, message);
    const hidden = this.#checkContent(event, message, headers);
    if (message.via === "app" && !home) this.#count(event, message, headers, hidden);
  }

  /** Adds a fault for everything that has not come. @returns how many */
  checkMissing(): number {
    for (const event of this.#events.values()) {
      for (const site of event.audience) this.#checkSeen(event, site, "app");
      for (const { site } of this.#logsOf(event)) this.#checkSeen(event, site, "log");
    }
    return this.counts.missing;
  }

  /** Whether an app at another site than the event's own has seen it. */
  seenAbroad(id: string): boolean {
    return this.#seenAbroad.has(id);
  }

  #checkPlace(event: ExpectedEvent, message: Observation): void {
    const { site, via } = message;
    if (message.tenant !== event.tenant) {
      this.#fault("leak", message, event.id, `an app of ${message.tenant} sees an event of ${event.tenant}`);
    } else if (site !== event.origin && !event.audience.has(site)) {
      this.#fault("leak", message, event.id, `no policy lets ${site} have it`);
    } else if (site !== event.origin || via === "log") this.outstanding--;
    if (site !== event.origin) this.#seenAbroad.add(event.id);
    const subject = via === "log" ? `${event.origin}.${event.subject}` : event.subject;
    if (message.subject !== subject) {
      this.#fault("altered", message, event.id, `the subject is ${message.subject}, expected ${subject}`);
    }
  }

  #checkOrder(event: ExpectedEvent, message: Observation): void {
    const publisher = `${message.site} ${message.via} ${event.origin} ${event.tenant}`;
    const last = this.#last.get(publisher) ?? -1;
    if (event.sequence < last) {
      this.#fault("reordered", message, event.id, `number ${event.sequence} came after number ${last}`);
    } else this.#last.set(publisher, event.sequence);
  }

  #checkContent(
    event: ExpectedEvent,
    message: Observation,
    headers: ReadonlyMap<string, string>,
  ): { readonly redactions: number; readonly headers: number } {
    const treatment = message.site === event.origin ? UNTREATED : event.treatmentAt(message.site);
    let dropped = 0;
    for (const [name, value] of event.headers) {
      const there = headers.get(name.toLowerCase());
      if (treatment.dropHeaders !== null && name.toLowerCase().startsWith(treatment.dropHeaders)) {
        if (there === undefined) dropped++;
      } else if (there !== value) this.#fault("altered", message, event.id, `header ${name} is another`);
    }
    const published = new Set(event.headers.map(([name]) => name.toLowerCase()));
    for (const name of headers.keys()) {
      if (treatment.dropHeaders !== null && name.startsWith(treatment.dropHeaders)) {
        this.#fault("leak", message, event.id, `header ${name} should have been dropped`);
      } else if (!published.has(name) && !ADDED.test(name)) {
        this.#fault("altered", message, event.id, `header ${name} was added`);
      }
    }
    const text = Buffer.from(message.data).toString("utf8");
    const all = [text, ...headers.values()];
    if (treatment.secrets.some((secret) => all.some((one) => one.includes(secret)))) {
      this.#fault("leak", message, event.id, "a value that is redacted can be read in it");
    }
    return { redactions: this.#checkPayload(event, message, treatment, text), headers: dropped };
  }

  #checkPayload(event: ExpectedEvent, message: Observation, treatment: Treatment, text: string): number {
    const { payload } = event;
    if (treatment.redact.length === 0 || payload instanceof Uint8Array) {
      const bytes = payload instanceof Uint8Array ? payload : Buffer.from(payload.write(payload.value));
      if (Buffer.compare(bytes, message.data) !== 0) {
        this.#fault("altered", message, event.id, "the payload differs from what was published");
      }
      return 0;
    }
    const result = checkRedaction(payload, treatment.redact, text);
    if (result.type === "ok") return result.redactions;
    this.#fault(result.type, message, event.id, result.what);
    return 0;
  }

  #count(
    event: ExpectedEvent,
    message: Observation,
    headers: ReadonlyMap<string, string>,
    hidden: { readonly redactions: number; readonly headers: number },
  ): void {
    const { site } = message;
    const { origin, tenant } = event;
    this.delivered.set(site, (this.delivered.get(site) ?? 0) + 1);
    if (hidden.redactions > 0) this.redacted++;
    if (hidden.headers > 0) this.withoutHeaders++;
    const key = flowKey(origin, site, tenant);
    const flow = this.flows.get(key) ?? { origin, site, tenant, events: 0, latency: new LatencyWindow(2000) };
    this.flows.set(key, flow);
    flow.events++;
    const ms = message.atMs - Number(headers.get(SENT_HEADER));
    if (Number.isFinite(ms)) {
      flow.latency.add(ms);
      if (this.measuring) this.latency.add(ms);
    }
  }

  #checkSeen(event: ExpectedEvent, site: string, via: "app" | "log"): void {
    if (this.#seen.has(`${site} ${via} ${event.id}`)) return;
    this.#fault("missing", { site, subject: event.subject }, event.id, `it did not come (${via})`);
  }

  #logsOf(event: ExpectedEvent) {
    return this.#logs.filter(
      ({ site, tenant }) => tenant === event.tenant && (site === event.origin || event.audience.has(site)),
    );
  }

  #forgetOldest(): void {
    const [oldest] = this.#events.values();
    if (oldest === undefined) return;
    this.#events.delete(oldest.id);
    this.#seenAbroad.delete(oldest.id);
    for (const site of [oldest.origin, ...oldest.audience]) {
      for (const via of ["app", "log"]) {
        for (const end of ["", " 1", " 2"]) this.#seen.delete(`${site} ${via} ${oldest.id}${end}`);
      }
    }
    this.#forgotten++;
  }

  #fault(kind: FaultKind, at: { readonly site: string; readonly subject: string }, id: string, text: string) {
    this.counts[kind]++;
    const alike = (this.#samples.get(`${kind} ${text}`) ?? 0) + 1;
    if (alike <= MAX_SAMPLES && this.#samples.size <= MAX_TEXTS) {
      this.#samples.set(`${kind} ${text}`, alike);
      this.faults.push({ kind, site: at.site, id, text: `${at.subject} at ${at.site}: ${text}` });
    }
  }
}

const UNTREATED: Treatment = { redact: [], secrets: [], dropHeaders: null };

/** Key of a flow in {@link Checker.flows}. */
export function flowKey(origin: string, site: string, tenant: string): string {
  return `${origin} ${site} ${tenant}`;
}
