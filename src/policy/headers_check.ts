/** What is wrong with the header rules of a rule: what servers act on, and what contradicts itself. */
import type { Problem } from "../model/errors.ts";
import type { HeaderRules } from "../model/schema/policy.ts";
import { isTransportName } from "./headers.ts";

type Report = (path: string, message: string) => void;

/** What is wrong with header rules; paths are `set.<name>`, `rename.<name>`, `keep[0]` and so on. */
export function headerProblems(rules: HeaderRules): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message) => problems.push({ path, message });
  checkSet(rules, report);
  checkRename(rules, report);
  for (const [index, name] of (rules.keep ?? []).entries()) {
    if (isTransportName(name) && !sameName(name, "Nats-Msg-Id")) {
      report(
        `keep[${index}]`,
        `Header '${name}' cannot be kept: of the headers that begin with Nats- or Leafmesh- only Nats-Msg-Id crosses, and it does so by itself`,
      );
    }
    const drop = (rules.drop ?? []).find((one) => covers(one, name));
    if (drop !== undefined) report(`keep[${index}]`, `Header '${name}' is kept, and dropped by '${drop}'`);
  }
  for (const [index, name] of (rules.mask ?? []).entries()) {
    if (isTransportName(name)) {
      report(`mask[${index}]`, `Header '${name}' cannot be masked: servers and sidecars act on it`);
    }
    const drop = (rules.drop ?? []).find((one) => covers(one, name));
    if (drop !== undefined) report(`mask[${index}]`, `Header '${name}' is masked, and dropped by '${drop}'`);
    const lost = rules.keep !== undefined && !rules.keep.some((one) => meets(one, name));
    if (lost && !isRenamed(rules, name)) {
      report(`mask[${index}]`, `Header '${name}' is masked, and 'keep' leaves it out`);
    }
  }
  return problems;
}

function checkSet(rules: HeaderRules, report: Report): void {
  const seen = new Map<string, string>();
  for (const [name, value] of Object.entries(rules.set ?? {})) {
    const path = `set.${name}`;
    if (isTransportName(name)) {
      report(
        path,
        `Header '${name}' cannot be set: servers and sidecars act on headers that begin with Nats- or Leafmesh-`,
      );
    }
    if (/[\r\n\0]/.test(value) || !/^[!-9;-~]+$/.test(name)) {
      report(path, `Header '${name}' or its value is not one line of text`);
    }
    const other = seen.get(name.toLowerCase());
    if (other !== undefined)
      report(path, `Header '${name}' is set twice, as '${other}' too: names count in any case`);
    seen.set(name.toLowerCase(), name);
  }
}

function checkRename(rules: HeaderRules, report: Report): void {
  const sources = new Map<string, string>();
  const taken = new Map<string, string>();
  for (const [from, to] of Object.entries(rules.rename ?? {})) {
    const path = `rename.${from}`;
    for (const name of [from, to]) {
      if (!isTransportName(name)) continue;
      report(
        path,
        `Header '${from}' cannot be renamed to '${to}': servers and sidecars act on headers that begin with Nats- or Leafmesh-`,
      );
      break;
    }
    const again = sources.get(from.toLowerCase());
    if (again !== undefined)
      report(path, `Header '${from}' is renamed twice, as '${again}' too: names count in any case`);
    sources.set(from.toLowerCase(), from);
    const other = taken.get(to.toLowerCase());
    if (other !== undefined) report(path, `Headers '${other}' and '${from}' are both renamed to '${to}'`);
    taken.set(to.toLowerCase(), from);
    const set = Object.keys(rules.set ?? {}).find((one) => sameName(one, to));
    if (set !== undefined)
      report(path, `Header '${from}' is renamed to '${to}', which 'set' puts in: only one of them can be`);
    const drop = (rules.drop ?? []).find((one) => covers(one, from));
    if (drop !== undefined) report(path, `Header '${from}' is renamed, and dropped by '${drop}'`);
    const gone = Object.keys(rules.set ?? {}).find((one) => sameName(one, from));
    if (gone !== undefined) report(path, `Header '${from}' is renamed, and 'set' replaces it`);
  }
}

function sameName(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}

function isRenamed(rules: HeaderRules, name: string): boolean {
  return Object.keys(rules.rename ?? {}).some((from) => meets(name, from));
}

/** Whether the pattern `outer` holds every name of `inner`. */
export function covers(outer: string, inner: string): boolean {
  const a = outer.toLowerCase();
  const b = inner.toLowerCase();
  if (!a.endsWith("*")) return a === b;
  return (b.endsWith("*") ? b.slice(0, -1) : b).startsWith(a.slice(0, -1));
}

/** Whether two patterns have a name in common. */
export function meets(left: string, right: string): boolean {
  return covers(left, right) || covers(right, left);
}
