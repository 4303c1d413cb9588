/**
 * What is published in the demo, and what each policy must make of it. The expectations stand here a second time, in plain
 * code, so that a policy that is compiled or run wrongly shows.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { ExpectedEvent, Treatment } from "./checker.ts";
import type { Example, JsonObject } from "./payloads.ts";
import { type PersonalMember, personalTexts, type WrittenPayload } from "./personal_data.ts";

export const SITES = ["berlin", "austin", "tokyo"] as const;
export type Site = (typeof SITES)[number];
export const TENANTS = ["acme", "globex"] as const;
export type Tenant = (typeof TENANTS)[number];
/** The log that a durable consumer reads: where acme's redacted events arrive. */
export const READ_LOG = { site: "austin", tenant: "acme" } as const;

/** What becomes of an event, as the policies say it. */
export type Fate = "shared" | "private" | "denied" | "quarantined";

/** An event of the demo, ready to be published. */
export interface DemoEvent extends ExpectedEvent {
  readonly origin: Site;
  readonly tenant: Tenant;
  readonly fate: Fate;
  /** Published a second time with the same id. */
  readonly twice: boolean;
}

/** What berlin's policy `for-austin` hides. */
export const PERSONAL: readonly PersonalMember[] = [
  { parent: null, key: "email", shown: "domain" },
  { parent: null, key: "organization_billing_email", shown: "domain" },
  { parent: "author", key: "name", shown: "pseudonym" },
  { parent: "committer", key: "name", shown: "pseudonym" },
  { parent: "pusher", key: "name", shown: "pseudonym" },
  // The signed text of a commit names its author once more.
  { parent: "verification", key: "payload", shown: "nothing" },
];
/** GitHub's security events: berlin labels them `restricted`. */
const RESTRICTED = new Set([
  "code_scanning_alert",
  "dependabot_alert",
  "repository_vulnerability_alert",
  "security_advisory",
]);
const INTERNAL = "x-internal-";
const TWICE_EVERY = 20;
const PLAIN: Treatment = { redact: [], secrets: [], dropHeaders: null };
const NO_HEADERS: Treatment = { ...PLAIN, dropHeaders: INTERNAL };

/** Where to begin: numbers of events that were made before. */
export interface Round {
  readonly number: number;
  readonly firstSequence: number;
}

interface Draft {
  readonly subject: string;
  readonly event: string;
  readonly payload: Uint8Array | ((delivery: bigint) => WrittenPayload);
  readonly headers?: readonly (readonly [string, string])[];
  readonly broken?: boolean;
}

/** Makes the events that one publisher sends: every payload, and among them what must not cross. */
export function makeEvents(
  origin: Site,
  tenant: Tenant,
  examples: readonly Example[],
  round: Round = { number: 0, firstSequence: 0 },
): DemoEvent[] {
  const addresses = addressesOf(examples);
  const drafts = [
    ...examples.map((example) => draftOf(tenant, example)),
    ...privateDrafts(tenant, origin),
    ...(origin === "berlin" && tenant === "acme" ? hardDrafts(tenant) : []),
  ];
  // The last event of each publisher goes to everyone: whoever has it has all that came before.
  const last: Draft = {
    subject: `${tenant}.github.ping`,
    event: "ping",
    payload: (id) => written({ zen: "Keep it logically awesome." }, id),
  };
  return [...spread(drafts), last].map((draft, i) =>
    finish(draft, { origin, tenant, round: round.number, sequence: round.firstSequence + i, addresses }),
  );
}

function draftOf(tenant: Tenant, { event, action, payload }: Example): Draft {
  return {
    subject: `${tenant}.github.${event}${action === null ? "" : `.${action}`}`,
    event,
    payload: (delivery) => written(payload, delivery),
  };
}

/** Events that stay at their site: no policy shares `<tenant>.private.>`. */
function privateDrafts(tenant: Tenant, origin: Site): Draft[] {
  return ["payroll", "incident", "contract"].map((topic) => ({
    subject: `${tenant}.private.${topic}`,
    event: topic,
    payload: (delivery) => written({ topic, note: `only for ${origin}`, contact: ADDRESS }, delivery),
  }));
}

const ADDRESS = "mona.lisa@octo-corp.example";

/** What is hard on a policy that redacts: payloads that it cannot read, and a member whose name is written in escapes. */
function hardDrafts(tenant: Tenant): Draft[] {
  const broken = { event: "push", broken: true };
  const text = `{"pusher":{"name":"Mona Lisa Planted","email":"${ADDRESS}"}}`;
  const pusher = { name: "Mona Lisa Planted", email: ADDRESS };
  return [
    { ...broken, subject: `${tenant}.github.push`, payload: Buffer.from(`pushed by ${ADDRESS}`) },
    { ...broken, subject: `${tenant}.github.push`, payload: Buffer.from(text.slice(0, -1)) },
    {
      ...broken,
      subject: `${tenant}.github.push.packed`,
      payload: gzipSync(text),
      headers: [["content-encoding", "gzip"]],
    },
    {
      ...broken,
      subject: `${tenant}.github.push.plain`,
      payload: Buffer.from(text),
      headers: [["content-type", "text/plain"]],
    },
    {
      subject: `${tenant}.github.push`,
      event: "push",
      payload: (delivery) => {
        const { write } = written({}, delivery);
        return {
          value: { ref: "refs/heads/main", pusher },
          write: (value) => write(value).replaceAll('"email":', '"em\\u0061il":'),
        };
      },
    },
  ];
}

/** The payload with GitHub's number of the delivery: 64 bits, more than a double holds. */
function written(value: JsonObject, delivery: bigint): WrittenPayload {
  return {
    value,
    write: (one) => {
      const rest = JSON.stringify(one).slice(1);
      return `{"delivery_id":${delivery}${rest === "}" ? "" : ","}${rest}`;
    },
  };
}

/** Puts the last few drafts, the special ones, between the others. */
function spread(drafts: readonly Draft[]): Draft[] {
  const order = drafts.map((draft, i) => ({ draft, key: (i * 7919) % drafts.length }));
  return order.sort((a, b) => a.key - b.key).map(({ draft }) => draft);
}

function finish(
  draft: Draft,
  from: {
    readonly origin: Site;
    readonly tenant: Tenant;
    readonly round: number;
    readonly sequence: number;
    readonly addresses: readonly string[];
  },
): DemoEvent {
  const { origin, tenant, sequence } = from;
  const digest = createHash("sha256").update(`${origin} ${tenant} ${from.round} ${sequence}`).digest();
  const hex = digest.toString("hex");
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
  const delivery = digest.readBigUInt64BE(0) | (1n << 63n);
  const payload = draft.payload instanceof Uint8Array ? draft.payload : draft.payload(delivery);
  const restricted = RESTRICTED.has(draft.event);
  const headers = new Map<string, string>([
    ["content-type", "application/json"],
    ["X-GitHub-Event", draft.event],
    ["X-GitHub-Delivery", id],
    [`${INTERNAL}class`, restricted ? "restricted" : "normal"],
    [`${INTERNAL}trace`, `trace-${hex.slice(32, 48)}`],
    ...(draft.headers ?? []),
  ]);
  const audience = audienceOf(draft, origin, tenant, restricted, payload);
  return {
    id,
    tenant,
    origin,
    sequence,
    subject: draft.subject,
    headers: [...headers],
    payload,
    audience,
    fate: fateOf(draft, audience),
    twice: sequence % TWICE_EVERY === TWICE_EVERY - 1,
    treatmentAt: (site) => treatmentOf(origin, tenant, site, payload, from.addresses),
  };
}

/** Who may have an event, by the policies in `policies.ts`. */
function audienceOf(
  draft: Draft,
  origin: Site,
  tenant: Tenant,
  restricted: boolean,
  payload: Uint8Array | WrittenPayload,
): ReadonlySet<Site> {
  const others = new Set(SITES.filter((site) => site !== origin));
  if (draft.subject.startsWith(`${tenant}.private.`)) return new Set();
  if (tenant === "globex" || origin === "austin") return others;
  if (origin === "tokyo") return draft.event === "security_advisory" ? new Set() : others;
  if (restricted) return new Set();
  if (draft.broken === true || isPrivate(payload)) return new Set<Site>(["tokyo"]);
  return others;
}

function isPrivate(payload: Uint8Array | WrittenPayload): boolean {
  if (payload instanceof Uint8Array) return false;
  const { repository } = payload.value;
  return (
    typeof repository === "object" && repository !== null && "private" in repository && !!repository.private
  );
}

function fateOf(draft: Draft, audience: ReadonlySet<Site>): Fate {
  if (draft.broken === true) return "quarantined";
  if (audience.size > 0) return "shared";
  return draft.subject.includes(".private.") ? "private" : "denied";
}

function treatmentOf(
  origin: Site,
  tenant: Tenant,
  site: string,
  payload: Uint8Array | WrittenPayload,
  addresses: readonly string[],
): Treatment {
  if (tenant !== "acme" || origin !== "berlin") return PLAIN;
  if (site === "tokyo") return NO_HEADERS;
  const own = payload instanceof Uint8Array ? [] : personalTexts(payload, PERSONAL);
  return { ...PLAIN, redact: PERSONAL, secrets: [...new Set([...addresses, ADDRESS, ...own])] };
}

/** Every e-mail address that stands at a personal member of any payload. */
function addressesOf(examples: readonly Example[]): string[] {
  const found = examples.flatMap(({ payload }) =>
    personalTexts({ value: payload, write: () => "{}" }, PERSONAL).filter((text) => /^\S+@\S+$/.test(text)),
  );
  return [...new Set(found)];
}
