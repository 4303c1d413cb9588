/** The subject algebra against a simulation that sends every subject of a small alphabet through a random mesh. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ExportPolicy, ImportPolicy, Rule } from "../../../../src/model/schema/policy.ts";
import type { SiteFile } from "../../../../src/model/schema/site.ts";
import { findMeetings } from "../../../../src/policy/lint/loops.ts";
import { type LintedSite, Mesh } from "../../../../src/policy/lint/mesh.ts";
import { followAll, MOST_ARRIVALS } from "../../../../src/policy/lint/paths.ts";
import { rewriteOf } from "../../../../src/policy/lint/rewrite.ts";
import { compileRewrite, parseRewrite, patternLacks } from "../../../../src/policy/rewrite.ts";
import { allSubjects, bruteMatch, seeded, tenantPattern } from "../subjects.ts";

const KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SITES = ["alpha", "beta", "gamma", "delta"];
/** Longer subjects tell nothing more: patterns name three tokens, and no rewrite makes a subject with `>` shorter. */
const SUBJECTS = allSubjects(5).filter((subject) => subject.startsWith("t."));

/** Often all, so that ways get long. */
const wide = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom("t.>", "t.*", "t.*.*") },
  { weight: 1, arbitrary: tenantPattern },
);
const rewrite = fc.constantFrom("t.a.*", "t.*.b", "t.b.>", "t.$2.$1", "t.a.$1.$1", "t.a");
const rule: fc.Arbitrary<Rule> = fc
  .record({
    subjects: fc.array(wide, { minLength: 1, maxLength: 2 }),
    kind: fc.constantFrom("plain", "plain", "plain", "deny", "when", "when-deny"),
    rewrite: fc.option(rewrite, { nil: undefined }),
  })
  .map(({ subjects, kind, rewrite: text }) => ({
    subjects,
    ...(kind.startsWith("when") ? { when: "size < 100" } : {}),
    ...(kind.endsWith("deny") ? { deny: true as const } : fitting(text, subjects)),
  }));

/** A rewrite that a site would take, and that shortens no subject with an open end. */
function fitting(text: string | undefined, subjects: readonly string[]): { rewrite?: string } {
  const parsed = text === undefined ? null : parseRewrite(text);
  if (text === undefined || parsed?.type !== "ok") return {};
  const fits = subjects.every(
    (pattern) =>
      patternLacks(parsed.template, pattern) === null &&
      (!parsed.template.rest || pattern.split(".").length <= text.split(".").length),
  );
  return fits ? { rewrite: text } : {};
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly origin: string;
  readonly rules: readonly Rule[];
  readonly accepted: readonly string[];
}
const edge: fc.Arbitrary<Edge> = fc.record({
  from: fc.constantFrom("alpha", "alpha", ...SITES),
  to: fc.constantFrom(...SITES),
  origin: fc.constantFrom("alpha", "alpha", "alpha", "alpha", "alpha", "beta"),
  rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
  accepted: fc.array(wide, { minLength: 1, maxLength: 2 }),
});
const meshEdges = fc
  .array(edge, { minLength: 3, maxLength: 10 })
  .map((edges) => edges.filter(({ from, to }) => from !== to));

/** The site files of a mesh in which these routes are agreed on. */
function filesOf(edges: readonly Edge[]): LintedSite[] {
  return SITES.map((site) => {
    const exports: ExportPolicy[] = edges
      .filter(({ from }) => from === site)
      .map(({ to, origin, rules }, index) => ({
        name: `e${index}`,
        to: [to],
        origin,
        rules: [...rules],
      }));
    const imports: ImportPolicy[] = edges
      .filter(({ to }) => to === site)
      .map(({ from, origin, accepted }) => ({ from, origin, subjects: [...accepted] }));
    const peers = SITES.filter((other) => other !== site).map((name) => ({ name, key: KEY }));
    const value: SiteFile = { site, peers, tenants: [{ tenant: "t", exports, imports }] };
    return { file: `${site}.yaml`, value, placeOf: () => null };
  });
}

/** What a policy may make of a subject: a rule with a condition may apply or not. */
function outputs(rules: readonly Rule[], subject: string): Set<string> {
  const out = new Set<string>();
  for (const one of rules) {
    if (!one.subjects.some((pattern) => bruteMatch(pattern, subject))) continue;
    if (one.deny !== true) {
      const renamed =
        one.rewrite === undefined ? subject : compileRewrite(one.rewrite, one.subjects).apply(subject);
      if (renamed !== null) out.add(renamed);
    }
    if (one.when === undefined) break;
  }
  return out;
}

/** Every way that each subject may take, by trying: `loops` by their sites, `meetings` as pairs of ways. */
function simulate(edges: readonly Edge[]): { loops: Set<string>; meetings: Set<string> } {
  const loops = new Set<string>();
  const meetings = new Set<string>();
  for (const origin of SITES) {
    const routes = edges.filter((one) => one.origin === origin);
    for (const published of SUBJECTS) {
      const arrived = new Map<string, Set<string>>();
      const open: { sites: string[]; subject: string }[] = [{ sites: [origin], subject: published }];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        const { sites, subject } = at;
        for (const { to, from, rules } of routes) {
          if (from !== sites[sites.length - 1]) continue;
          // An import takes from the peer whatever export it was sent by.
          const accepted = routes
            .filter((one) => one.from === from && one.to === to)
            .flatMap((one) => one.accepted);
          for (const renamed of outputs(rules, subject)) {
            if (!accepted.some((pattern) => bruteMatch(pattern, renamed))) continue;
            const next = [...sites, to];
            if (sites.includes(to)) loops.add(next.join(">"));
            else {
              arrived.set(to, (arrived.get(to) ?? new Set()).add(next.join(">")));
              open.push({ sites: next, subject: renamed });
            }
          }
        }
      }
      for (const ways of arrived.values()) {
        for (const left of ways) {
          for (const right of ways)
            if (left < right && sender(left) !== sender(right)) meetings.add(`${left} ${right}`);
        }
      }
    }
  }
  return { loops, meetings };
}

function sender(way: string): string | undefined {
  return way.split(">").at(-2);
}

function prove(edges: readonly Edge[]): { loops: Set<string>; meetings: Set<string>; cut: boolean } {
  const work = { flows: 0, comparisons: 0 };
  const all = followAll(new Mesh(filesOf(edges)), rewriteOf, work);
  const loops = all.flatMap(({ arrivals }) =>
    arrivals.flatMap(({ closes, sites }) => (closes ? [sites.join(">")] : [])),
  );
  const meetings = all.flatMap((one) =>
    findMeetings(one, work).meetings.map(({ first, second }) =>
      [first, second]
        .map(({ sites }) => sites.join(">"))
        .sort()
        .join(" "),
    ),
  );
  return { loops: new Set(loops), meetings: new Set(meetings), cut: all.some(({ cut }) => cut) };
}

const sorted = (set: ReadonlySet<string>) => [...set].sort();

describe("followAll() and findMeetings()", () => {
  test("find exactly the loops and second ways that some subject takes", () => {
    const seen = { loops: 0, meetings: 0, none: 0 };
    fc.assert(
      fc.property(meshEdges, (edges) => {
        const proved = prove(edges);
        if (proved.cut) return;
        const simulated = simulate(edges);
        expect(sorted(proved.loops)).toEqual(sorted(simulated.loops));
        expect(sorted(proved.meetings)).toEqual(sorted(simulated.meetings));
        if (simulated.loops.size > 0) seen.loops += 1;
        if (simulated.meetings.size > 0) seen.meetings += 1;
        if (simulated.loops.size + simulated.meetings.size === 0) seen.none += 1;
      }),
      { ...seeded, numRuns: 300 },
    );
    // The worlds were worth the while.
    expect(Math.min(seen.loops, seen.meetings, seen.none), JSON.stringify(seen)).toBeGreaterThan(20);
  }, 30_000);

  test("follow only so many ways, and say so", () => {
    const everybody = SITES.flatMap((from) => SITES.filter((to) => to !== from).map((to) => ({ from, to })));
    const subjects = Array.from({ length: 40 }, (_, n) => `t.x${n}`);
    const edges = everybody.map(({ from, to }) => ({
      from,
      to,
      origin: "alpha",
      rules: [{ subjects }],
      accepted: ["t.>"],
    }));
    const work = { flows: 0, comparisons: 0 };
    const [alpha] = followAll(new Mesh(filesOf(edges)), rewriteOf, work);
    expect(alpha?.cut).toBe(false);
    const more = everybody.map(({ from, to }) => ({
      from,
      to,
      origin: "alpha",
      rules: [{ subjects: Array.from({ length: 1000 }, (_, n) => `t.x${n}`) }],
      accepted: ["t.>"],
    }));
    const [cut] = followAll(new Mesh(filesOf(more)), rewriteOf, work);
    expect([cut?.cut, cut?.arrivals.length]).toEqual([true, MOST_ARRIVALS]);
  }, 30_000);
});
