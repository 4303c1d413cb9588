/** `policy diff` and `policy shadow`: a candidate held against the rules in force, over stored events or those to come. */
import type { DiffDocument, ShadowDocument } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { type CandidateFile, readCandidate } from "../candidate_file.ts";
import { argument, type Call, type Command, type Flags } from "../command.ts";
import { comparisonText } from "../compare_text.ts";
import { paths } from "../paths.ts";
import { indent } from "../table.ts";

const SAMPLES = {
  about: "show what leaves of samples under each policy; the events themselves are never shown",
};
const OF_EXPORT: Flags = {
  tenant: { value: "TENANT", about: "the tenant, where the file does not say" },
  export: { value: "NAME", about: "the export, where the file does not say or has several" },
};
const ABOUT_FILE =
  "The file is one export policy, tenants' documents or a site file; of an export only its rules count here.";

export const POLICY_DIFF: Command = {
  name: "policy diff",
  args: ["<candidate.yaml>"],
  about: "what other rules would have done with the tenant's stored events",
  flags: {
    ...OF_EXPORT,
    last: { value: "COUNT", about: "the last so many events, up to 1000000 (default 10000)" },
    since: { value: "DURATION", about: "the events stored within this time, for example 24h" },
    samples: SAMPLES,
    deadline: {
      value: "DURATION",
      about: "answer with what was looked at by then, up to 150s (default 60s)",
    },
  },
  details: ABOUT_FILE,
  run: async (call) => {
    const { tenant, name, rules } = await candidateOf(call, argument(call, 0));
    const last = call.flag("last");
    if (last !== undefined && !/^[1-9]\d*$/.test(last)) {
      throw new LeafmeshError("request_invalid", `--last is '${last}', expected a number of events`);
    }
    const given = (flag: string) => (call.flag(flag) === undefined ? {} : { [flag]: call.flag(flag) });
    const report = await (await call.api()).post<DiffDocument>(paths.diff(tenant, name), {
      rules,
      ...(last === undefined ? {} : { last: Number(last) }),
      ...given("since"),
      ...given("deadline"),
      ...(call.has("samples") ? { samples: true } : {}),
    });
    return { json: report, text: diffText(report) };
  },
};

export const SHADOW_SET: Command = {
  name: "policy shadow set",
  args: ["<candidate.yaml>"],
  about: "tries the candidate's rules on the events to come; what is sent does not change",
  flags: OF_EXPORT,
  details: ABOUT_FILE,
  run: async (call) => {
    const { tenant, name, rules } = await candidateOf(call, argument(call, 0));
    const client = await call.api();
    const path = paths.shadow(tenant, name);
    const there = await client.find(path);
    await client.put(path, { rules }, there === null ? "create" : { ifMatch: there.etag });
    const text = `Export ${tenant}/${name} has a shadow: see 'leafmesh policy shadow show ${tenant} ${name}'.`;
    return { json: { tenant, name, done: there === null ? "created" : "changed" }, text };
  },
};

export const SHADOW_SHOW: Command = {
  name: "policy shadow show",
  args: ["<tenant>", "<export>"],
  about: "what the shadow of an export would have done otherwise",
  flags: { samples: SAMPLES },
  run: async (call) => {
    const path = paths.shadow(argument(call, 0), argument(call, 1), call.has("samples"));
    const report = await (await call.api()).get<ShadowDocument>(path);
    return { json: report, text: shadowText(report) };
  },
};

export const SHADOW_CLEAR: Command = {
  name: "policy shadow clear",
  args: ["<tenant>", "<export>"],
  about: "ends the shadow of an export",
  flags: {},
  run: async (call) => {
    const [tenant, name] = [argument(call, 0), argument(call, 1)];
    const client = await call.api();
    const { etag } = await client.read(paths.shadow(tenant, name));
    await client.remove(paths.shadow(tenant, name), etag);
    return {
      json: { tenant, name, removed: true },
      text: `Export ${tenant}/${name} has no shadow any more.`,
    };
  },
};

async function candidateOf(call: Call, path: string): Promise<CandidateFile> {
  const text = new TextDecoder().decode(await call.effects.readFile(path));
  return readCandidate(text, path, { tenant: call.flag("tenant"), name: call.flag("export") });
}

function diffText(report: DiffDocument): string {
  const { tenant, first, last, comparison } = report;
  const range =
    first === null || last === null
      ? "no events"
      : `${comparison.events} events of ${report.stream}, ${first.sequence} (${first.time}) to ${last.sequence} (${last.time})`;
  return [
    `${tenant}/${report.export} (${report.activeKind}) and the candidate (${report.candidateKind}), held against ${range}`,
    ...report.notes.map((note) => `note: ${note}`),
    comparisonText(comparison),
  ].join("\n");
}

function shadowText(report: ShadowDocument): string {
  const { tenant, state, lastError, since, skipped, compared } = report;
  const head = `${tenant}/${report.export}: the shadow is ${state}${since === null ? "" : `, counting since ${since}`}`;
  return [
    head,
    ...(lastError === null ? [] : [indent(lastError)]),
    ...(skipped === 0
      ? []
      : [`note: ${skipped} events were passed over: to look at them would have cost too much`]),
    ...(compared === null ? [] : [comparisonText(compared.comparison)]),
  ].join("\n");
}
