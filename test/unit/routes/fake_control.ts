/** A `Control` in memory, for tests of what calls it. */
import type { ApplyReport, Control } from "../../../src/control/api.ts";
import type { Change } from "../../../src/control/audit/audit_api.ts";
import type { Denial } from "../../../src/control/audit/denials.ts";
import type { DiffRequest } from "../../../src/control/compare_api.ts";
import type { DeadLetters } from "../../../src/control/dead_letter_api.ts";
import type { ExplainPeer, ExplainRequest } from "../../../src/control/explain_api.ts";
import type { JoinPreview, JoinRequest, MembershipApi } from "../../../src/control/join_api.ts";
import type { LinkReport } from "../../../src/control/link_api.ts";
import { lintText } from "../../../src/control/lint.ts";
import {
  type ResourceRef,
  type ResourceType,
  type ResourceValue,
  type ResourceValues,
  resourceKey,
  resourceLabel,
  type Versioned,
} from "../../../src/control/resource.ts";
import type { Alarm } from "../../../src/model/alarms.ts";
import type { ErasureReport, ErasureRequest } from "../../../src/model/erasure.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import type { RedriveReport } from "../../../src/model/redrive.ts";
import type { ReplayReport } from "../../../src/model/replay.ts";
import type { RotationApi, RotationReport } from "../../../src/model/rotation.ts";
import { diffReport, shadowReport } from "./compared.ts";

const LETTER = {
  time: "2026-01-02T03:04:05Z",
  subject: "acme.orders.created",
  origin: "berlin",
  policy: "eu-orders",
  policyVersion: "v1",
  rule: "#1",
  reason: "payload_not_json",
  error: "no JSON at byte 3",
  position: 42,
  headers: { region: ["EU"] },
  sizeBytes: 12,
};

/** Dead letters 1 to 99, and redrives that end when they are waited for. */
function createFakeDeadLetters(calls: string[]): DeadLetters {
  const redrives: RedriveReport[] = [];
  const find = (id: string) => {
    const found = redrives.find((one) => one.id === id);
    if (found === undefined) throw new LeafmeshError("not_found", `There is no redrive '${id}'`);
    return found;
  };
  const words = (filter: object) => {
    const text = Object.entries(filter).map(([name, value]) => ` ${name} ${value}`);
    return text.join("");
  };
  return {
    async list(_tenant, { after, limit, ...filter }) {
      calls.push(`dlq after ${after} limit ${limit}${words(filter)}`);
      return { letters: [{ ...LETTER, sequence: after + 1 }], next: null };
    },
    async show(_tenant, sequence, { payload }) {
      calls.push(`dlq show ${sequence} payload ${payload}`);
      if (sequence > 99) throw new LeafmeshError("not_found", `There is no dead letter ${sequence}`);
      const bytes = sequence === 98 ? new Uint8Array([255]) : new TextEncoder().encode('{"raw":1}');
      return { ...LETTER, sequence, truncated: false, payload: payload ? bytes : null };
    },
    async remove(_tenant, sequence) {
      calls.push(`dlq remove ${sequence}`);
      if (sequence > 99) throw new LeafmeshError("not_found", `There is no dead letter ${sequence}`);
    },
    async drop(_tenant, filter, { dryRun }) {
      calls.push(`dlq drop${words(filter)} dry ${dryRun}`);
      return 3;
    },
    async redrive(tenant, { filter, sequence, dryRun, rate }) {
      calls.push(`dlq redrive ${sequence ?? "-"}${words(filter)} dry ${dryRun} rate ${rate}`);
      const report: RedriveReport = {
        id: `r${redrives.length + 1}`,
        tenant,
        state: "running",
        dryRun,
        rate,
        startedAt: "2026-01-02T03:04:05Z",
        endedAt: null,
        done: 0,
        forwarded: 0,
        dropped: 0,
        kept: 0,
        samples: [],
        error: null,
      };
      redrives.unshift(report);
      return report;
    },
    redrives: () => redrives,
    async redriveOf(_tenant, id, { waitMs }) {
      const report = find(id);
      if (waitMs === 0) return report;
      const sample = { sequence: 8, subject: "acme.orders.created", policy: "eu-orders" };
      const kept = { ...sample, outcome: "keep", reason: "payload_not_json", error: "no JSON" } as const;
      return { ...report, state: "done", done: 3, forwarded: 1, dropped: 1, kept: 1, samples: [kept] };
    },
    cancelRedrive: (_tenant, id) => ({ ...find(id), state: "canceled" }),
  };
}

const INVITATION = {
  id: "9f86d081884c7d65",
  site: "tokyo",
  address: "127.0.0.1:7422",
  createdAt: "2026-01-02T03:04:05.000Z",
  expires: "2026-01-02T03:19:05.000Z",
  by: "bootstrap",
  state: "open",
  since: "2026-01-02T03:04:05.000Z",
  usedBy: null,
} as const;

/** One invitation, and a site that takes every token but `lmi_bad`. */
function createFakeMembership(calls: string[]): MembershipApi {
  const preview = ({ token, dialBack }: JoinRequest): JoinPreview => {
    if (token === "lmi_bad") throw new LeafmeshError("invitation_invalid", "This is no invitation");
    return {
      site: "berlin",
      address: "127.0.0.1:7422",
      key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
      caFingerprint: null,
      expires: INVITATION.expires,
      dials: dialBack === undefined ? "this site" : "the inviting site",
      known: false,
    };
  };
  return {
    async invite({ site, ttlMs, address }) {
      calls.push(`invite ${site} for ${ttlMs} at ${address ?? "-"}`);
      return { ...INVITATION, site, token: "lmi_abc.def" };
    },
    invitations: () => [INVITATION],
    async revokeInvitation(id) {
      calls.push(`revoke invitation ${id}`);
      if (id !== INVITATION.id) throw new LeafmeshError("not_found", `There is no invitation '${id}'`);
    },
    preview,
    async join(request) {
      calls.push(`join ${request.dialBack ?? "-"}`);
      return { ...preview(request), linked: true, linkedMs: 420 };
    },
    async revoke(peer) {
      calls.push(`revoke ${peer}`);
      const key = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
      return { peer, key, at: INVITATION.since, cut: 1, cutMs: 120, gone: true, invitations: 0 };
    },
    async forgive(keys, work) {
      calls.push(`forgive ${keys.join(" ")}`);
      return await work();
    },
  };
}

const ROTATION: RotationReport = {
  what: "key",
  phase: "announce",
  startedAt: "2026-01-02T03:04:05.000Z",
  endedAt: null,
  by: "ann",
  from: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
  next: "UCK2XMKBMOD5MYNYDUJNDAYD2LELUK4NHQDUIUNSIKVSTBTVKZME45LK",
  failure: null,
  peers: [
    { peer: "austin", state: "confirmed", why: null, remedy: null },
    { peer: "tokyo", state: "waiting", why: "no link", remedy: null },
  ],
};

/** A rotation of the key that waits for tokyo. */
function createFakeRotations(calls: string[]): RotationApi {
  let rotation = ROTATION;
  return {
    list: () => [rotation],
    settled: async (what) => (what === rotation.what ? rotation : null),
    async start({ what, peers = [] }) {
      calls.push(`rotate ${[what, ...peers].join(" ")}`);
      if (what === "ca") throw new LeafmeshError("conflict", "A rotation of the site key is open");
      rotation = { ...rotation, what };
      return rotation;
    },
    async finish(what) {
      calls.push(`finish ${what}`);
      if (what !== rotation.what) throw new LeafmeshError("not_found", "No rotation is open");
      const remedy = `there: leafmesh peer trust berlin --key ${rotation.next}`;
      const peers = rotation.peers.map((one) =>
        one.state === "waiting" ? { ...one, state: "skipped" as const, why: null, remedy } : one,
      );
      rotation = { ...rotation, phase: "done", endedAt: rotation.startedAt, peers };
      return rotation;
    },
  };
}

interface Stored {
  readonly ref: ResourceRef;
  readonly value: ResourceValues[ResourceType];
  readonly revision: number;
}

export interface FakeControl extends Control {
  /** What was told to the audit trail. */
  readonly changes: { readonly change: Change; result: string | null }[];
  readonly denials: Denial[];
  /** Whether the audit trail takes records. */
  auditable: boolean;
  /** What was asked of it, for example `put tenant acme expecting null`. */
  readonly calls: string[];
  /** Runs before the next write: a place for somebody else's. */
  beforeWrite: (() => void) | null;
  applied: ApplyReport | LeafmeshError;
  explained: ExplainRequest | null;
  diffed: DiffRequest | null;
  peers: readonly ExplainPeer[];
  linked: readonly LinkReport[];
  raised: readonly Alarm[];
  isReady: boolean;
  /** Puts a document in without preconditions. */
  seed(ref: ResourceRef, value: ResourceValues[ResourceType]): void;
}

function erasure(
  tenant: string,
  { subject, dryRun }: Pick<ErasureRequest, "subject" | "dryRun">,
): ErasureReport {
  return {
    id: "e1",
    tenant,
    origin: "berlin",
    subject,
    dryRun,
    state: "pending",
    startedAt: "2026-01-02T03:04:05Z",
    endedAt: null,
    events: 1,
    erased: { "MESH/out_acme": 1 },
    peers: [{ peer: "tokyo", state: "pending", erased: {}, why: "no link", peers: [] }],
    why: "tokyo: no link",
  };
}

function replay(tenant: string): ReplayReport {
  return {
    id: "r1",
    tenant,
    target: { type: "peer", peer: "tokyo", policy: "eu-orders" },
    origin: "berlin",
    from: 1,
    until: 10,
    subjects: null,
    rate: 500,
    dryRun: false,
    startedAt: "2026-01-02T03:04:05Z",
    endedAt: null,
    state: "running",
    why: null,
    stream: "out_acme",
    position: 4,
    missing: 0,
    looked: 4,
    forwarded: 3,
    dropped: 0,
    quarantined: 1,
    samples: [
      {
        sequence: 4,
        subject: "acme.orders.new",
        outcome: "quarantine",
        reason: "payload_not_json",
        error: "Payload is not JSON: 'secret'",
      },
    ],
  };
}

export const CHANGED_AT = "2026-01-02T03:04:05.678Z";
export const SITE_KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

export function createFakeControl(): FakeControl {
  const documents = new Map<string, Stored>();
  let revision = 0;
  const calls: string[] = [];
  const check = (ref: ResourceRef, expected: number | null | undefined) => {
    fake.beforeWrite?.();
    fake.beforeWrite = null;
    const current = documents.get(resourceKey(ref))?.revision ?? null;
    if (expected === undefined || expected === current) return;
    throw new LeafmeshError("precondition_failed", `${resourceLabel(ref)} has revision ${current}`);
  };
  const sorted = () => [...documents].sort(([a], [b]) => a.localeCompare(b)).map(([, stored]) => stored);
  const changes: FakeControl["changes"] = [];
  const denials: Denial[] = [];
  const fake: FakeControl = {
    calls,
    changes,
    denials,
    auditable: true,
    audit: {
      head: { seq: 7, hash: "0".repeat(64) },
      numbers: () => ({ records: 7, denials: 0, droppedDenials: 0, untoldResults: 0 }),
      async change(change, work, result = () => "ok") {
        if (!fake.auditable)
          throw new LeafmeshError("audit_unavailable", "The audit trail cannot be written");
        const told = { change, result: null as string | null };
        changes.push(told);
        const done = await work();
        told.result = result(done);
        return done;
      },
      denied: (denial) => void denials.push(denial),
      list: async (query) => {
        calls.push(`audit ${JSON.stringify(query)}`);
        return { records: [], next: null };
      },
      async *export() {
        yield '{"seq":1}';
        yield '{"seq":2}';
      },
    },
    beforeWrite: null,
    applied: { revision: 1, applied: [], failed: [], converged: true },
    explained: null,
    diffed: null,
    peers: [],
    linked: [],
    raised: [],
    members: () => [
      { name: "a", leads: true, alive: true, version: "0.1.0", api: "http://127.0.0.1:7480", views: [] },
    ],
    alarms: { list: () => fake.raised },
    isReady: true,
    seed(ref, value) {
      revision += 1;
      documents.set(resourceKey(ref), { ref, value, revision });
    },
    state: {
      desired: () => ({ state: { site: "berlin", peers: [], tenants: [] }, revision }),
      get<R extends ResourceRef>(ref: R): Versioned<ResourceValue<R>> | null {
        const found = documents.get(resourceKey(ref));
        return found === undefined
          ? null
          : { value: found.value as ResourceValue<R>, revision: found.revision, changedAt: CHANGED_AT };
      },
      list<T extends ResourceType>(type: T, tenant?: string) {
        return sorted()
          .filter(
            ({ ref }) =>
              ref.type === type && (tenant === undefined || ("tenant" in ref && ref.tenant === tenant)),
          )
          .map(({ ref, value, revision: at }) => ({
            ref: ref as Extract<ResourceRef, { type: T }>,
            document: { value: value as ResourceValues[T], revision: at, changedAt: CHANGED_AT },
          }));
      },
      check: (ref) => {
        calls.push(`check ${resourceLabel(ref)}`);
      },
      async put(ref, value, expected) {
        calls.push(`put ${resourceLabel(ref)} expecting ${expected}`);
        check(ref, expected);
        if ("tenant" in ref && ref.type !== "tenant" && !documents.has(`tenant.${ref.tenant}`)) {
          throw new LeafmeshError("not_found", `There is no tenant '${ref.tenant}'`);
        }
        fake.seed(ref, value);
        return revision;
      },
      async remove(ref, expected) {
        calls.push(`remove ${resourceLabel(ref)} expecting ${expected}`);
        check(ref, expected);
        documents.delete(resourceKey(ref));
        revision += 1;
      },
    },
    site: async () => ({
      site: "berlin",
      key: SITE_KEY,
      version: "0.1.0",
      runtime: "bun 1.4.0",
      revision,
      server: {
        mode: "embedded",
        version: "2.15.1",
        id: "NSERVER",
        pid: 7,
        listen: "127.0.0.1:4222",
        leaf: "127.0.0.1:7422",
        mqtt: null,
        websocket: null,
        sync: "always",
      },
      startedAt: "2026-01-02T03:04:05Z",
      converged: true,
      alarms: { critical: 0, warning: 0 },
      store: {
        state: "ok",
        freeBytes: 5 * 1024 ** 3,
        totalBytes: 10 * 1024 ** 3,
        usedBytes: 1024 ** 2,
        budgetBytes: 4 * 1024 ** 3,
      },
      memory: { usedBytes: 100 * 1024 ** 2, limitBytes: 768 * 1024 ** 2 },
      links: { mode: "plain", advertise: "127.0.0.1:7422", ca: "", certificates: [] },
    }),
    plan: async () => ({
      revision,
      steps: [
        { type: "create-stream", target: "MESH/out_acme", text: "create stream out_acme for tenant acme" },
      ],
      notes: [],
      routes: [{ tenant: "acme", policy: "eu-orders", kind: "view", why: ["rule #1 redacts"] }],
    }),
    async apply() {
      calls.push("apply");
      if (fake.applied instanceof LeafmeshError) throw fake.applied;
      return fake.applied;
    },
    lint(candidate, tenant) {
      calls.push(`lint ${candidate?.name ?? "the state"}${tenant === undefined ? "" : ` of ${tenant}`}`);
      return lintText(candidate ?? { name: "berlin", text: "site: berlin" });
    },
    links: async () => fake.linked,
    async explain(tenant, request) {
      fake.explained = request;
      return { tenant, subject: request.subject, peers: fake.peers, notes: [] };
    },
    async diff(tenant, name, request) {
      fake.diffed = request;
      return diffReport(tenant, name, request.samples);
    },
    async shadow(tenant, name, samples) {
      const found = fake.state.get({ type: "shadow", tenant, name });
      if (found === null) throw new LeafmeshError("not_found", `Export ${tenant}/${name} has no shadow`);
      return shadowReport(tenant, name, found.value.rules, samples);
    },
    users: async () => [],
    keys: async () => [
      { kind: "pseudonym", id: "newer-id", active: true },
      { kind: "pseudonym", id: "older-id", active: false },
    ],
    async rotateKey(tenant, kind) {
      calls.push(`rotate ${kind} of ${tenant}`);
      return { kind, id: "made-now", active: true };
    },
    membership: createFakeMembership(calls),
    rotations: createFakeRotations(calls),
    deadLetters: createFakeDeadLetters(calls),
    erasures: {
      list: () => [erasure("acme", { subject: "acme.x", dryRun: false })],
      get: (tenant) => erasure(tenant, { subject: "acme.x", dryRun: false }),
      start: async (tenant, request) => {
        calls.push(`erase ${JSON.stringify(request)}`);
        return erasure(tenant, request);
      },
    },
    replays: {
      list: (tenant) => [replay(tenant)],
      get: async (tenant) => replay(tenant),
      start: async (tenant, request) => {
        calls.push(`replay ${JSON.stringify(request)}`);
        return replay(tenant);
      },
      change: async (tenant, id, asked) => {
        calls.push(`replay ${id} ${JSON.stringify(asked)}`);
        return replay(tenant);
      },
    },
    ready: async () => ({ ready: fake.isReady, reasons: fake.isReady ? [] : ["nats-server is down"] }),
    metrics: async () => "# HELP x y\nx 1\n",
  };
  return fake;
}
