/** Where a replay reads, to whom it may go, and who decides its events: by the state of now. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DesiredState } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import { nameProblem, storedSubject, streamEpoch, tenantSubjects } from "../model/names.ts";
import { type Replay, type ReplayPlace, type ReplayRequest, replaySubjectProblem } from "../model/replay.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import { type CompiledPolicy, type CompileOptions, compilePolicy, policyVersion } from "../policy/compile.ts";
import { decide } from "../policy/decide.ts";
import { sequenceAt } from "./position.ts";
import { type ExportPlan, planExports, sourceStream } from "./routes.ts";

/** What a replay reads, and who decides it. */
export interface SourceOfReplay {
  readonly site: string;
  readonly filter: string;
  readonly decide: (event: MeshEvent) => Decision;
  readonly version: string;
}

/** A replay that is asked for, with all that it means now. */
export type PlacedReplay = Pick<
  Replay,
  "target" | "origin" | "from" | "until" | "missing" | "subjects" | "rate" | "dryRun" | "stream" | "epoch"
>;

/**
 * Finds out what a request means.
 * @throws LeafmeshError `not_found` for what is not there, `request_invalid`, `conflict` where there are several exports
 */
export async function placeReplay(
  mesh: JetStreamManager,
  state: DesiredState,
  tenant: string,
  request: ReplayRequest,
): Promise<PlacedReplay> {
  for (const subject of request.subjects ?? []) {
    const problem = replaySubjectProblem(tenant, subject);
    if (problem !== null) throw new LeafmeshError("request_invalid", `Subject '${subject}' ${problem}`);
  }
  const { target, origin, stream } = targetOf(state, tenant, request);
  const { created, state: now } = await mesh.streams.info(stream);
  const first = await placeOf(mesh, stream, request.from ?? Math.max(now.first_seq, 1), 1);
  const last = await placeOf(mesh, stream, request.until ?? now.last_seq, 0);
  const from = Math.max(first, 1);
  const until = Math.min(last, now.last_seq);
  return {
    target,
    origin,
    stream,
    epoch: streamEpoch(created),
    from,
    until,
    missing: 0,
    subjects: request.subjects === undefined ? null : [...request.subjects],
    rate: request.rate,
    dryRun: request.dryRun,
  };
}

/** The sequence of a place: of the first event from a time on (`step` 1), or of the last one until then (0). */
async function placeOf(
  mesh: JetStreamManager,
  stream: string,
  place: ReplayPlace,
  step: 0 | 1,
): Promise<number> {
  if (typeof place === "number") return place;
  const time = Date.parse(place);
  return step === 1
    ? (await sequenceAt(mesh, stream, new Date(time))) + 1
    : await sequenceAt(mesh, stream, new Date(time + 1));
}

function targetOf(
  state: DesiredState,
  tenant: string,
  { to, origin }: ReplayRequest,
): Pick<Replay, "target" | "origin" | "stream"> {
  const found = state.tenants.find(({ name }) => name === tenant);
  if (found === undefined) throw new LeafmeshError("not_found", `There is no tenant ${tenant}`);
  if ("local" in to) {
    const name = to.local ?? "again";
    const problem = nameProblem(name);
    if (problem !== null) throw new LeafmeshError("request_invalid", `Name '${name}' ${problem}`);
    const from = origin ?? state.site;
    const imported = found.imports.some((one) => (one.origin ?? one.from) === from && one.mirror !== true);
    if (from !== state.site && !imported) {
      throw new LeafmeshError("not_found", `Tenant ${tenant} imports nothing of ${from}`);
    }
    return {
      target: { type: "local", name },
      origin: from,
      stream: sourceStream(found, state.site, from),
    };
  }
  const { peer, policy } = to;
  if (!state.peers.some(({ name }) => name === peer)) {
    throw new LeafmeshError("not_found", `${peer} is not a peer`);
  }
  const plans = planExports(state).filter(
    (plan) =>
      plan.tenant.name === tenant &&
      plan.policy.to.includes(peer) &&
      (policy === undefined || plan.policy.name === policy) &&
      (origin === undefined || plan.origin === origin),
  );
  const own = plans.find((plan) => plan.origin === state.site);
  const plan = own ?? plans[0];
  if (plan === undefined) {
    throw new LeafmeshError(
      "not_found",
      `No export of ${tenant} goes to ${peer}${policy === undefined ? "" : ` by ${policy}`}`,
    );
  }
  if (own === undefined && plans.length > 1) {
    const names = plans.map((one) => one.policy.name).join(", ");
    throw new LeafmeshError("conflict", `Several exports of ${tenant} go to ${peer} (${names}): name one`);
  }
  return {
    target: { type: "peer", peer, policy: plan.policy.name },
    origin: plan.origin,
    stream: plan.source,
  };
}

/** Compiles the policies of replays, and keeps them while they mean the same. */
export class ReplaySources {
  readonly #state: () => DesiredState;
  readonly #optionsOf: (tenant: string, policy: ExportPolicy) => Promise<CompileOptions>;
  readonly #compiled = new Map<string, CompiledPolicy>();

  constructor(
    state: () => DesiredState,
    optionsOf: (tenant: string, policy: ExportPolicy) => Promise<CompileOptions>,
  ) {
    this.#state = state;
    this.#optionsOf = optionsOf;
  }

  /** @throws LeafmeshError `not_found` when the tenant, the peer or the export is gone, or reads another stream */
  async of({ tenant, target, origin, stream }: Replay): Promise<SourceOfReplay> {
    const state = this.#state();
    const found = state.tenants.find(({ name }) => name === tenant);
    if (found === undefined) throw new LeafmeshError("not_found", `There is no tenant ${tenant} any more`);
    const policy =
      target.type === "local" ? allOf(tenant) : exportOf(state, tenant, target, { origin, stream }).policy;
    const options = await this.#optionsOf(tenant, policy);
    const version = policyVersion(policy, options.keys, options.schemas);
    const key = `${tenant}/${policy.name}`;
    let compiled = this.#compiled.get(key);
    if (compiled?.version !== version) {
      compiled = compilePolicy(options);
      this.#compiled.set(key, compiled);
    }
    const by = compiled;
    return {
      site: state.site,
      filter: storedSubject(origin, tenantSubjects(tenant)),
      decide: (event) => decide(by, event),
      version,
    };
  }
}

function exportOf(
  state: DesiredState,
  tenant: string,
  { peer, policy }: Extract<Replay["target"], { type: "peer" }>,
  { origin, stream }: Pick<Replay, "origin" | "stream">,
): ExportPlan {
  const gone = (what: string) => new LeafmeshError("not_found", what);
  if (!state.peers.some(({ name }) => name === peer)) throw gone(`${peer} is not a peer any more`);
  const plan = planExports(state).find(
    (one) => one.tenant.name === tenant && one.policy.name === policy && one.policy.to.includes(peer),
  );
  if (plan === undefined) throw gone(`Export ${tenant}/${policy} goes to ${peer} no more`);
  if (plan.origin !== origin || plan.source !== stream) {
    throw gone(`Export ${tenant}/${policy} reads ${plan.source} of ${plan.origin} now`);
  }
  return plan;
}

/** The site's own subscribers may have all of their tenant. The engine leaves out what servers act on. */
function allOf(tenant: string): ExportPolicy {
  return { name: "all", to: ["local"], rules: [{ subjects: [tenantSubjects(tenant)] }] };
}
