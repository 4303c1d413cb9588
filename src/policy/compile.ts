/** Compiles an export policy to what `decide` runs. */
import { createHash } from "node:crypto";
import { LeafmeshError, type Problem } from "../model/errors.ts";
import type { RuleRef } from "../model/event.ts";
import { KEY_KINDS, type KeyKind, type PolicyKeys } from "../model/keys.ts";
import type { SchemaDocument } from "../model/schema/contract.ts";
import type { ExportPolicy, Rule } from "../model/schema/policy.ts";
import { parseBytes } from "../model/units.ts";
import { canonical } from "./canonical.ts";
import { envelopeProblems } from "./envelope/check.ts";
import { Envelope } from "./envelope/mod.ts";
import { HeaderCursor } from "./header_block.ts";
import { type CompiledHeaders, compileHeaderRules, hidesValue } from "./headers.ts";
import { headerProblems } from "./headers_check.ts";
import { SubjectMatcher } from "./match.ts";
import { PayloadParser } from "./payload.ts";
import { compilePredicate, type Predicate, predicateProblem } from "./predicate.ts";
import { compileRedactor, type Redactor, redactionProblems } from "./redact/mod.ts";
import { Workspace } from "./redact/workspace.ts";
import { compileRewrite, type Rewriter } from "./rewrite.ts";
import { rewriteProblems } from "./rewrite_check.ts";
import { type Contract, compileContract } from "./schema/contract.ts";
import { findSchema } from "./schema/registry.ts";

export interface CompiledRule {
  readonly ref: RuleRef;
  readonly subjects: readonly SubjectMatcher[];
  readonly when: Predicate | null;
  readonly deny: boolean;
  /** The schema that the payload must be valid by. */
  readonly contract: Contract | null;
  readonly redactor: Redactor | null;
  readonly envelope: Envelope | null;
  readonly headers: CompiledHeaders;
  readonly rewriter: Rewriter | null;
  /** Bytes of the largest payload. */
  readonly maxSize: number;
  /** The rule looks into the payload, which therefore must be plain JSON. */
  readonly readsPayload: boolean;
}

/** A policy ready to decide events, one at a time: it reuses its scratch memory from event to event. */
export interface CompiledPolicy {
  readonly tenant: string;
  readonly policy: string;
  /** Changes whenever the policy's meaning may have changed. */
  readonly version: string;
  readonly rules: readonly CompiledRule[];
  /** Scratch. */
  readonly cursor: HeaderCursor;
  readonly payloads: PayloadParser;
}

export interface CompileOptions {
  readonly tenant: string;
  readonly policy: ExportPolicy;
  /** For `with: pseudonym` and `with: encrypt`. */
  readonly keys?: PolicyKeys | undefined;
  /** The tenant's schemas, for rules with `schema`. */
  readonly schemas?: readonly SchemaDocument[] | undefined;
  /** Scratch memory to share among policies that decide one after the other. Its own by default. */
  readonly workspace?: Workspace | undefined;
}

/**
 * Compiles a policy.
 * @throws {LeafmeshError} `policy_invalid` with every problem, its path within the policy
 */
export function compilePolicy(options: CompileOptions): CompiledPolicy {
  const { tenant, policy, keys, schemas = [], workspace = new Workspace() } = options;
  const problems = policy.rules.flatMap((rule, index) => ruleProblems(rule, `rules[${index}]`));
  if (problems.length > 0) {
    throw new LeafmeshError(
      "policy_invalid",
      `Policy '${policy.name}' of tenant '${tenant}' does not compile`,
      {
        problems,
      },
    );
  }
  const cursor = new HeaderCursor();
  const payloads = new PayloadParser(workspace);
  const redactorOptions = { workspace, tenant, keys };
  const contracts = compileContracts(policy, schemas, payloads);
  const rules = policy.rules.map((rule, index): CompiledRule => {
    const when = rule.when === undefined ? null : compilePredicate(rule.when, payloads);
    const redactor = rule.redact === undefined ? null : compileRedactor(rule.redact, redactorOptions);
    const contract = rule.schema === undefined ? null : (contracts.get(rule.schema) ?? null);
    const headers = compileHeaderRules(rule.headers);
    const hidden = {
      hidesMessageId: headers.dropsMessageId,
      hides: (name: string) => hidesValue(headers, name),
    };
    return {
      ref: ruleRef(policy, index),
      subjects: rule.subjects.map((pattern) => new SubjectMatcher(pattern)),
      when,
      deny: rule.deny === true,
      contract,
      redactor,
      envelope:
        rule.envelope === undefined
          ? null
          : new Envelope(rule.envelope, { tenant, workspace, cursor, ...hidden }),
      headers,
      rewriter: rule.rewrite === undefined ? null : compileRewrite(rule.rewrite, rule.subjects),
      maxSize: parseBytes(rule.limit?.maxSize ?? "") ?? Number.POSITIVE_INFINITY,
      readsPayload: redactor !== null || contract !== null || when?.readsData === true,
    };
  });
  return {
    tenant,
    policy: policy.name,
    version: policyVersion(policy, keys, schemas),
    rules,
    cursor,
    payloads,
  };
}

/**
 * The contract of each reference that a rule has.
 * @throws {LeafmeshError} `policy_invalid` when one is missing or does not compile: an event is never passed for the lack of it
 */
function compileContracts(
  policy: ExportPolicy,
  schemas: readonly SchemaDocument[],
  payloads: PayloadParser,
): ReadonlyMap<string, Contract> {
  const contracts = new Map<string, Contract>();
  for (const [index, { schema }] of policy.rules.entries()) {
    if (schema === undefined || contracts.has(schema)) continue;
    const found = findSchema(schemas, schema);
    if (found.type === "missing") {
      const problem = { path: `rules[${index}].schema`, message: found.problem };
      throw new LeafmeshError("policy_invalid", `Policy '${policy.name}': ${found.problem}`, {
        problems: [problem],
      });
    }
    contracts.set(schema, compileContract(found.label, found.version.schema, payloads));
  }
  return contracts;
}

/** The rule at `index` as reports name it. */
export function ruleRef(policy: ExportPolicy, index: number): RuleRef {
  return { policy: policy.name, index, name: policy.rules[index]?.name ?? `#${index + 1}` };
}

/** What does not compile in a rule: its condition, its paths, its headers, its envelope, its rewrite. Paths begin with `at`. */
export function ruleProblems(rule: Rule, at: string): Problem[] {
  const problems: Problem[] = [];
  if (rule.when !== undefined) {
    const problem = predicateProblem(rule.when);
    if (problem !== null) {
      problems.push({ path: `${at}.when`, message: `Condition '${rule.when}' does not compile: ${problem}` });
    }
  }
  for (const problem of redactionProblems(rule.redact ?? [])) {
    problems.push({ ...problem, path: `${at}.redact${problem.path}` });
  }
  for (const problem of headerProblems(rule.headers ?? {})) {
    problems.push({ ...problem, path: `${at}.headers.${problem.path}` });
  }
  problems.push(...envelopeProblems(rule, at));
  for (const message of rewriteProblems(rule)) problems.push({ path: `${at}.rewrite`, message });
  return problems;
}

/** The limits that a view keeps; what each peer's consumer is held to is no matter of deciding. */
function viewLimit(policy: ExportPolicy): object | undefined {
  const { perPeer: _, ...limit } = policy.limit ?? {};
  return Object.keys(limit).length === 0 ? undefined : limit;
}

/**
 * Twelve hexadecimal digits that stay the same as long as the policy means the same: names of keys in any order, names of rules,
 * peers and where a route starts do not count. The ids of the keys that its redactions write with do, and so does what is
 * in the schemas that its rules stand for.
 */
export function policyVersion(
  policy: ExportPolicy,
  keys: PolicyKeys = {},
  schemas: readonly SchemaDocument[] = [],
): string {
  const contracts = policy.rules.flatMap(({ schema }) => {
    if (schema === undefined) return [];
    const found = findSchema(schemas, schema);
    return [found.type === "found" ? found.version.schema : null];
  });
  const meaning = {
    // Left out where there are none: what has no schema keeps its version.
    ...(contracts.length === 0 ? {} : { contracts }),
    origin: policy.origin ?? null,
    limit: viewLimit(policy),
    rules: policy.rules.map(({ name: _, ...rule }) => rule),
    ...Object.fromEntries(usedKeys(policy).map((kind) => [`${kind}_key`, keys[kind]?.id ?? null])),
  };
  return createHash("sha256").update(canonical(meaning)).digest("hex").slice(0, 12);
}

/** The kinds of keys that a policy's redactions write with. */
export function usedKeys(policy: ExportPolicy): KeyKind[] {
  const redactions = policy.rules.flatMap((rule) => rule.redact ?? []);
  return KEY_KINDS.filter((kind) => redactions.some((redaction) => redaction.with === kind));
}
