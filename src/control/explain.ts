/** What would happen to one event, peer by peer, and why. Nothing is published. */
import { unreachable } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import type { KeyKind, PolicyKeys } from "../model/keys.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import { matches } from "../model/subject.ts";
import { usedKeys } from "../policy/compile.ts";
import { type Explanation, explainEvent } from "../policy/explain.ts";
import { headerBlock, headerRecord } from "../policy/header_text.ts";
import type { Workspace } from "../policy/redact/workspace.ts";
import type { Peers } from "./agreement.ts";
import type { ExplainPeer, ExplainReport, ExplainRequest } from "./explain_api.ts";
import type { ExportPlan } from "./routes.ts";

export interface ExplainInput {
  readonly site: string;
  readonly tenant: string;
  /** The tenant's exports as they run. */
  readonly exports: readonly ExportPlan[];
  readonly peers: readonly string[];
  readonly knowledge: Peers;
  readonly keys: PolicyKeys;
  readonly request: ExplainRequest;
  /** Scratch memory for the policies. */
  readonly workspace: Workspace;
  readonly notes: readonly string[];
}

/** Explains an event for every peer of the site. */
export function explainForPeers(input: ExplainInput): ExplainReport {
  const { request, tenant, site } = input;
  const origin = request.origin ?? site;
  const event: MeshEvent = {
    subject: request.subject,
    headers: headerBlock(request.headers),
    data: request.data,
    origin,
    timeMs: Date.now(),
    sequence: 0,
  };
  const explanations = explainEvent(
    {
      site,
      tenant,
      exports: input.exports.map((plan) => plan.policy),
      keys: input.keys,
      workspace: input.workspace,
      schemas: input.exports[0]?.tenant.schemas,
    },
    event,
  );
  return {
    tenant,
    subject: request.subject,
    notes: input.notes,
    peers: input.peers.map((peer) => {
      const found = explanations.find((one) => one.peer === peer);
      return found === undefined ? noExport(peer, tenant, origin) : describe(input, found, origin);
    }),
  };
}

function noExport(peer: string, tenant: string, origin: string): ExplainPeer {
  return {
    peer,
    policy: null,
    kind: null,
    outcome: "drop",
    rule: null,
    reason: `no export of ${tenant} (origin ${origin}) goes to ${peer}`,
    steps: [],
    result: null,
    accepted: "unknown",
  };
}

function describe(input: ExplainInput, found: Explanation, origin: string): ExplainPeer {
  const { peer, policy, decision, steps } = found;
  // What peers make necessary may turn into a view what the policy alone would not.
  const plan = input.exports.find((one) => one.policy.name === policy);
  const subject = decision.type === "forward" ? decision.subject : input.request.subject;
  const accepted = acceptedBy(input, peer, origin, subject);
  return {
    peer,
    policy,
    kind: plan?.route.type ?? found.route,
    outcome: decision.type,
    rule: decision.rule?.name ?? null,
    reason: reasonOf(decision, accepted, peer),
    steps: steps.map((step) => ({ rule: step.rule.name, outcome: step.outcome })),
    accepted,
    result:
      decision.type === "forward"
        ? {
            subject,
            headers: headerRecord(decision.headers),
            data: decision.data,
            redactions: decision.redactions,
          }
        : null,
  };
}

function acceptedBy(
  input: ExplainInput,
  peer: string,
  origin: string,
  subject: string,
): "yes" | "no" | "unknown" {
  const accepted = input.knowledge.get(peer)?.accepted;
  if (!accepted) return "unknown";
  return accepted.some(
    (one) =>
      one.tenant === input.tenant &&
      one.origin === origin &&
      one.subjects.some((pattern) => matches(pattern, subject)),
  )
    ? "yes"
    : "no";
}

function reasonOf(decision: Decision, accepted: "yes" | "no" | "unknown", peer: string): string {
  switch (decision.type) {
    case "forward":
      return accepted === "no"
        ? `the policy forwards it, but ${peer} does not accept its subject`
        : "the rule forwards it";
    case "drop":
      return decision.reason === "denied"
        ? "the rule denies it"
        : "no rule matches: what is not allowed stays";
    case "quarantine":
      return `${decision.reason}: ${decision.error}`;
    default:
      return unreachable(decision);
  }
}

/** What is to be said where policies write with keys that the tenant does not have yet. */
export function keyNotes(
  tenant: string,
  missing: readonly KeyKind[],
  policies: readonly ExportPolicy[],
): string[] {
  return missing
    .filter((kind) => policies.some((policy) => usedKeys(policy).includes(kind)))
    .map((kind) => `${tenant} has no ${kind} key yet: what is shown is written with one that is not kept`);
}
