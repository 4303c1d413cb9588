/** Makes what a session decides by from a policy that came as data. */
import { compilePolicy } from "../policy/compile.ts";
import { decide } from "../policy/decide.ts";
import type { Decider } from "./event_decider.ts";
import { type QuotaSpecs, quotaSpecs } from "./quota.ts";
import type { ViewPolicy } from "./thread/messages.ts";

/**
 * Compiles a policy to a decider.
 * @throws {LeafmeshError} `policy_invalid` when it does not compile
 */
export function compileDecider({ compile, version }: ViewPolicy): Decider & { readonly quotas: QuotaSpecs } {
  const compiled = compilePolicy(compile);
  return { decide: (event) => decide(compiled, event), version, quotas: quotaSpecs(compile.policy) };
}
