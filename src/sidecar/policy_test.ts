/** `leafmesh policy test`: runs the cases of test files through the engine, without a server. */
import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { LeafmeshError, type Problem } from "../model/errors.ts";
import { formatPath } from "../model/problem_path.ts";
import {
  type PolicyTest,
  PolicyTestFile,
  type TestExpectation,
  type TestPayload,
} from "../model/schema/policy_test.ts";
import { parseLocated } from "../model/site_file.ts";
import { placeOf, type SourceDocument } from "../model/source.ts";
import { type CompiledPolicy, compilePolicy } from "../policy/compile.ts";
import { headerBlock } from "../policy/header_text.ts";
import { compileRoute } from "../policy/route.ts";
import { type ExpectedPayload, runCase } from "../policy/run_case.ts";
import { TEST_KEYS } from "../policy/test_key.ts";
import { type FoundPolicy, readPolicies } from "./policy_files.ts";

/** What became of one case. */
export interface TestReport {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  /** `<tenant>/<export>`; `null` when the case names none that is there. */
  readonly policy: string | null;
  readonly outcome: "forward" | "drop" | "quarantine" | null;
  /** The rule that decided. */
  readonly rule: string | null;
  /** What is not as expected, with places; empty: it passes. */
  readonly problems: readonly Problem[];
}

/** What became of one test file. */
export interface TestFileReport {
  readonly file: string;
  readonly policyFile: string | null;
  readonly tests: readonly TestReport[];
  /** Rules of the policy file that decided no case: `acme/eu-orders european`. */
  readonly unreached: readonly string[];
  /** Why the file could not be run at all, each with the file it is in. */
  readonly problems: readonly (Problem & { readonly file: string })[];
}

/** Reads a file. @throws LeafmeshError `not_found` when it is not there */
export type ReadFile = (path: string) => Promise<Uint8Array>;

const DEFAULT_TIME = "2000-01-01T00:00:00Z";
const SUFFIX = /\.test\.(ya?ml|json)$/;

/**
 * Runs test files. A file that is no test file by its name (`*.test.yaml`) is taken for a policy with one beside it.
 * @throws LeafmeshError `not_found` when a named file is not there
 */
export async function testPolicies(files: readonly string[], readFile: ReadFile): Promise<TestFileReport[]> {
  const reports: TestFileReport[] = [];
  for (const file of files) {
    reports.push(
      await testFile(SUFFIX.test(file) ? file : file.replace(/\.(ya?ml|json)$/, ".test.$1"), readFile),
    );
  }
  return reports;
}

async function testFile(file: string, readFile: ReadFile): Promise<TestFileReport> {
  let at = file;
  let policyFile: string | null = null;
  try {
    const { value, source } = parseLocated(PolicyTestFile, text(await readFile(file)), file);
    policyFile = value.policy === undefined ? file.replace(SUFFIX, ".$1") : join(dirname(file), value.policy);
    at = policyFile;
    const policies = readPolicies(text(await readFile(policyFile)), policyFile);
    const run = new FileRun(file, value, source, policies, readFile);
    const tests: TestReport[] = [];
    for (const index of value.tests.keys()) tests.push(await run.test(index));
    return { file, policyFile, tests, unreached: run.unreached(), problems: [] };
  } catch (thrown) {
    if (!(thrown instanceof LeafmeshError) || thrown.code !== "config_invalid") throw thrown;
    const problems = thrown.problems.map((problem) => ({ ...problem, file: at }));
    return { file, policyFile, tests: [], unreached: [], problems };
  }
}

interface Runnable extends FoundPolicy {
  readonly compiled: CompiledPolicy;
  readonly route: "native" | "view";
  readonly reached: Set<number>;
}

class FileRun {
  readonly #file: string;
  readonly #value: PolicyTestFile;
  readonly #source: SourceDocument;
  readonly #policies: readonly Runnable[];
  readonly #readFile: ReadFile;

  constructor(
    file: string,
    value: PolicyTestFile,
    source: SourceDocument,
    policies: readonly FoundPolicy[],
    readFile: ReadFile,
  ) {
    this.#file = file;
    this.#value = value;
    this.#source = source;
    this.#readFile = readFile;
    this.#policies = policies.map((found) => ({
      ...found,
      compiled: compilePolicy({ ...found, keys: TEST_KEYS }),
      route: compileRoute(found.policy).type,
      reached: new Set(),
    }));
  }

  /** Rules that decided no case yet. */
  unreached(): string[] {
    return this.#policies.flatMap(({ tenant, compiled, reached }) =>
      compiled.rules.flatMap(({ ref }) =>
        reached.has(ref.index) ? [] : [`${tenant}/${ref.policy} ${ref.name}`],
      ),
    );
  }

  async test(index: number): Promise<TestReport> {
    const test = this.#value.tests[index] as PolicyTest;
    const place = placeOf(this.#source, ["tests", index]) ?? { line: 1, column: 1 };
    const problems: Problem[] = [];
    const report = (at: readonly PropertyKey[], message: string) => {
      const path = ["tests", index, ...at];
      problems.push({ path: formatPath(path), message, ...placeOf(this.#source, path) });
    };
    const none = { name: test.name, ...place, policy: null, outcome: null, rule: null, problems };
    const found = this.#find(test, report);
    if (found === null) return none;
    const policy = `${found.tenant}/${found.policy.name}`;
    const reads = found.policy.origin ?? found.site;
    if (test.origin !== undefined && reads !== null && test.origin !== reads) {
      report(["origin"], `'${test.origin}' is not where ${policy} reads events of, which is '${reads}'`);
    }
    const expect: TestExpectation = typeof test.expect === "string" ? { outcome: test.expect } : test.expect;
    const known = found.compiled.rules.flatMap(({ ref }) => [ref.name, `#${ref.index + 1}`]);
    if (expect.rule !== undefined && !known.includes(expect.rule)) {
      const names = found.compiled.rules.map(({ ref }) => ref.name).join(", ");
      report(["expect", "rule"], `'${expect.rule}' is no rule of ${policy} (there are ${names})`);
    }
    const data = await this.#bytes(test.payload, ["payload"], report);
    const expected = await this.#expected(expect.payload, report);
    if (problems.length > 0 || data === null || expected === null) return { ...none, policy };
    const event = {
      subject: test.subject,
      headers: headerBlock(test.headers ?? {}),
      data,
      origin: test.origin ?? reads ?? "here",
      timeMs: Date.parse(test.time ?? DEFAULT_TIME),
      sequence: 1,
    };
    const { decision, faults } = runCase(found.compiled, found.route, event, {
      ...expect,
      payload: expected,
      present: expect.headers?.present,
      absent: expect.headers?.absent,
    });
    if (decision.rule !== null) found.reached.add(decision.rule.index);
    for (const fault of faults) {
      report(typeof test.expect === "string" ? ["expect"] : ["expect", ...fault.at], fault.message);
    }
    return { ...none, policy, outcome: decision.type, rule: decision.rule?.name ?? null };
  }

  /** The policy that a case is for. */
  #find(test: PolicyTest, report: (at: readonly PropertyKey[], message: string) => void): Runnable | null {
    const tenant = test.subject.split(".")[0] ?? "";
    const of = this.#policies.filter((one) => one.tenant === tenant);
    if (of.length === 0) {
      const tenants = [...new Set(this.#policies.map((one) => one.tenant))].join(", ");
      report(
        ["subject"],
        `'${tenant}' has no export in the policy file (it has those of ${tenants || "nobody"})`,
      );
      return null;
    }
    const name = test.export ?? this.#value.export;
    const names = of.map(({ policy }) => policy.name).join(", ");
    if (name === undefined) {
      if (of.length === 1) return of[0] ?? null;
      report(["export"], `is missing: tenant '${tenant}' has the exports ${names}`);
      return null;
    }
    const found = of.find(({ policy }) => policy.name === name);
    if (found === undefined)
      report(["export"], `'${name}' is no export of tenant '${tenant}' (it has ${names})`);
    return found ?? null;
  }

  async #expected(
    payload: TestPayload | undefined,
    report: (at: readonly PropertyKey[], message: string) => void,
  ): Promise<ExpectedPayload | undefined | null> {
    if (payload === undefined) return undefined;
    if ("json" in payload) return { type: "json", value: payload.json };
    const data = await this.#bytes(payload, ["expect", "payload"], report);
    return data === null ? null : { type: "bytes", data };
  }

  /** The bytes of a payload; `null` when its file cannot be read. */
  async #bytes(
    payload: TestPayload | undefined,
    at: readonly PropertyKey[],
    report: (at: readonly PropertyKey[], message: string) => void,
  ): Promise<Uint8Array | null> {
    if (payload === undefined) return new Uint8Array();
    if (payload.base64 !== undefined) return new Uint8Array(Buffer.from(payload.base64, "base64"));
    if (payload.file === undefined) {
      return new TextEncoder().encode(payload.text ?? JSON.stringify(payload.json));
    }
    try {
      return await this.#readFile(join(dirname(this.#file), payload.file));
    } catch (thrown) {
      if (!(thrown instanceof LeafmeshError)) throw thrown;
      report([...at, "file"], thrown.message);
      return null;
    }
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
