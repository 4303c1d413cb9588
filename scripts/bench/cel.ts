/**
 * Conditions beside two CEL engines: how long one takes to compile and to evaluate. `data` is parsed before, for all alike.
 *
 *   bun run bench:cel [--json] [--report]     --report: the tables of docs/cel.md
 */
import { parseArgs } from "node:util";
import { type CelInput, celEnv, parse as parseBuf, plan } from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { Environment } from "@marcbachmann/cel-js";
import { compileExpression, type Variables } from "../../src/policy/cel/environment.ts";
import { Timestamp } from "../../src/policy/cel/values.ts";
import { sectionTable, unclaimedTable } from "../../test/support/cel_report.ts";

const CONDITIONS = {
  subject: 'subject.startsWith("acme.orders.") && origin == "berlin"',
  headers: '"region" in headers && headers["region"] == "EU"',
  data: 'data.total > 10.0 && data.customer.country in ["DE", "AT", "CH"]',
  loop: 'data.items.exists(i, i.price > 15.0 && "b" in i.tags)',
  has: 'size < 1000 && has(data.customer.tier) && data.customer.tier == "gold"',
} as const;

const VARIABLES: Variables = [
  ["subject", "string"],
  ["origin", "string"],
  ["size", "int"],
  ["time", "google.protobuf.Timestamp"],
  ["tokens", "list<string>"],
  ["headers", "map<string, string>"],
  ["data", "dyn"],
];
const DATA = {
  total: 12.5,
  customer: { email: "ada@example.org", country: "DE", tier: "gold" },
  items: Array.from({ length: 10 }, (_, i) => ({ sku: `s${i}`, price: i * 2 + 0.5, tags: ["a", "b"] })),
};
const VALUES: Record<string, unknown> = {
  subject: "acme.orders.new",
  origin: "berlin",
  size: 300n,
  time: new Date(0),
  tokens: ["acme", "orders", "new"],
  headers: new Map([["region", "EU"]]),
  data: DATA,
};

interface Engine {
  compile(text: string): () => unknown;
}

const env = celEnv({ funcs: strings });
const ENGINES: Readonly<Record<"ours" | "celJs" | "buf", Engine>> = {
  ours: {
    compile(text) {
      const compiled = compileExpression(text, { variables: VARIABLES, result: "bool" });
      if (compiled.type === "invalid") throw new Error(compiled.problem);
      return () =>
        compiled.evaluate({
          slots: VARIABLES.map(([name]) => (name === "time" ? new Timestamp(0n) : VALUES[name])),
          left: 1_000_000,
        });
    },
  },
  celJs: {
    compile(text) {
      const environment = new Environment({ unlistedVariablesAreDyn: false });
      for (const [name, type] of VARIABLES) environment.registerVariable(name, type);
      const parsed = environment.parse(text);
      parsed.check();
      return () => parsed({ ...VALUES });
    },
  },
  buf: {
    compile(text) {
      const planned = plan(env, parseBuf(text));
      return () => planned({ ...VALUES } as Record<string, CelInput>);
    },
  },
};

/** Nanoseconds of one call: the best of several rounds, so that a busy machine counts least. */
function timed(run: () => unknown, calls: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    best = Math.min(best, ((performance.now() - start) * 1e6) / calls);
  }
  return Math.round(best);
}

const { values } = parseArgs({
  options: { json: { type: "boolean" }, report: { type: "boolean" } },
});
if (values.report) {
  console.log(`${sectionTable()}\n\n${unclaimedTable()}`);
} else {
  const names = Object.keys(ENGINES) as (keyof typeof ENGINES)[];
  const report: Record<string, { evaluateNs: Record<string, number>; compileNs: Record<string, number> }> =
    {};
  for (const [name, text] of Object.entries(CONDITIONS)) {
    const evaluateNs: Record<string, number> = {};
    const compileNs: Record<string, number> = {};
    for (const engine of names) {
      const evaluate = ENGINES[engine].compile(text);
      if (evaluate() !== true) throw new Error(`${engine} says of '${text}' that it is not true`);
      evaluateNs[engine] = timed(evaluate, 20_000);
      compileNs[engine] = timed(() => ENGINES[engine].compile(text), 200);
    }
    report[name] = { evaluateNs, compileNs };
  }
  const ratio = (of: "evaluateNs" | "compileNs", engine: string) => {
    const ratios = Object.values(report).map((one) => (one[of][engine] ?? 0) / (one[of].ours ?? 1));
    return Number(Math.exp(ratios.reduce((sum, one) => sum + Math.log(one), 0) / ratios.length).toFixed(2));
  };
  const summary = {
    evaluate: { celJs: ratio("evaluateNs", "celJs"), buf: ratio("evaluateNs", "buf") },
    compile: { celJs: ratio("compileNs", "celJs"), buf: ratio("compileNs", "buf") },
    conditions: report,
  };
  if (values.json) console.log(JSON.stringify(summary));
  else {
    console.table(
      Object.fromEntries(
        Object.entries(report).map(([name, { evaluateNs, compileNs }]) => [
          name,
          {
            ...evaluateNs,
            ...Object.fromEntries(Object.entries(compileNs).map(([k, v]) => [`compile ${k}`, v])),
          },
        ]),
      ),
    );
    console.log(
      `how many times as long as ours: ${JSON.stringify({ evaluate: summary.evaluate, compile: summary.compile })}`,
    );
  }
}
