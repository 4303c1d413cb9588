/**
 * Conditions beside two CEL engines: how long one takes to compile and to evaluate. `data` is parsed before, for all alike.
 *
 *   bun run bench:cel [--json] [--report]     --report: the tables of docs/cel.md
 */
import { parseArgs } from "node:util";
import { type CelInput, celEnv, parse as parseBuf, plan } from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";
import { Environment } from "@marcbachmann/cel-js";
import { compileExpression } from "../../src/policy/cel/environment.ts";
import { Timestamp } from "../../src/policy/cel/values.ts";
import { CONDITION_VARIABLES } from "../../src/policy/predicate.ts";
import { sectionTable, unclaimedTable } from "../../test/support/cel_report.ts";

const CONDITIONS = {
  subject: 'subject.startsWith("acme.orders.") && origin == "berlin"',
  headers: '"region" in headers && headers["region"] == "EU"',
  data: 'data.total > 10.0 && data.customer.country in ["DE", "AT", "CH"]',
  loop: 'data.items.exists(i, i.price > 15.0 && "b" in i.tags)',
  has: 'size < 1000 && has(data.customer.tier) && data.customer.tier == "gold"',
} as const;

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

const SLOTS = CONDITION_VARIABLES.map(([name]) => (name === "time" ? new Timestamp(0n) : VALUES[name]));

interface Engine {
  compile(text: string): () => unknown;
}

const env = celEnv({ funcs: strings });
const ENGINES: Readonly<Record<"ours" | "celJs" | "buf", Engine>> = {
  ours: {
    compile(text) {
      const compiled = compileExpression(text, { variables: CONDITION_VARIABLES, result: "bool" });
      if (compiled.type === "invalid") throw new Error(compiled.problem);
      return () => compiled.evaluate({ slots: [...SLOTS], left: 1_000_000 });
    },
  },
  celJs: {
    compile(text) {
      const environment = new Environment({ unlistedVariablesAreDyn: false });
      for (const [name, type] of CONDITION_VARIABLES) environment.registerVariable(name, type);
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

/**
 * Nanoseconds of one call for each engine: the best of several rounds, the engines in turn, so that a machine that is busy
 * with something else counts least.
 */
function timed(calls: Readonly<Record<string, () => unknown>>, times: number): Record<string, number> {
  const best: Record<string, number> = {};
  for (let round = 0; round < 12; round++) {
    for (const [engine, call] of Object.entries(calls)) {
      const start = performance.now();
      for (let i = 0; i < times; i++) call();
      const ns = Math.round(((performance.now() - start) * 1e6) / times);
      best[engine] = Math.min(best[engine] ?? Number.POSITIVE_INFINITY, ns);
    }
  }
  return best;
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
    const evaluations = Object.fromEntries(
      names.map((engine) => {
        const evaluate = ENGINES[engine].compile(text);
        if (evaluate() !== true) throw new Error(`${engine} says of '${text}' that it is not true`);
        return [engine, evaluate];
      }),
    );
    const compilations = Object.fromEntries(names.map((one) => [one, () => ENGINES[one].compile(text)]));
    const evaluateNs = timed(evaluations, 5_000);
    const compileNs = timed(compilations, 50);
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
