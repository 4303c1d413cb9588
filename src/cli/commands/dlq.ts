/** `dlq`: events that a policy could not decide: look at them, drop them, have them decided again. */
import type { DeadLetterDetail, DeadLetterPage, Dropped, RedriveReport } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Call, type Command, type Flags, type Result } from "../command.ts";
import { paths } from "../paths.ts";
import { count, facts, indent, table } from "../table.ts";

const FILTER_FLAGS = {
  reason: { value: "REASON", about: "only those put aside for this reason, such as payload_not_json" },
  rule: { value: "NAME", about: "only those of this rule" },
  policy: { value: "EXPORT", about: "only those of this export" },
  subject: { value: "PATTERN", about: "only those of these subjects" },
  since: { value: "TIME", about: "only those since then: RFC 3339, or for example 15m" },
} as const satisfies Flags;
const SELECT_FLAGS = {
  ...FILTER_FLAGS,
  all: { about: "all of the tenant's" },
  "dry-run": { about: "change nothing, only say what would happen" },
} as const satisfies Flags;

export const DLQ_LIST: Command = {
  name: "dlq list",
  args: ["<tenant>"],
  about: "dead letters of a tenant, oldest first; payloads are not shown",
  flags: {
    after: { value: "SEQUENCE", about: "continue after this one (default 0)" },
    limit: { value: "COUNT", about: "at most this many, up to 1000 (default 100)" },
    ...FILTER_FLAGS,
  },
  run: async (call) => {
    const query = new URLSearchParams();
    for (const name of ["after", "limit", ...Object.keys(FILTER_FLAGS)]) {
      const value = call.flag(name);
      if (value !== undefined) query.set(name, value);
    }
    const path = paths.deadLetters(argument(call, 0), query.toString());
    const page = await (await call.api()).get<DeadLetterPage>(path);
    const rows = page.items.map((letter) => [
      String(letter.sequence),
      letter.time.slice(0, 19),
      letter.subject,
      `${letter.policy}/${letter.rule}`,
      letter.reason,
      letter.error,
    ]);
    const none = page.next === null ? "No dead letters." : "None so far.";
    const text =
      rows.length === 0 ? none : table(["SEQ", "TIME", "SUBJECT", "RULE", "REASON", "ERROR"], rows);
    const more = page.next === null ? "" : `\nMore: --after ${page.next}`;
    return { json: page, text: `${text}${more}` };
  },
};

export const DLQ_SHOW: Command = {
  name: "dlq show",
  args: ["<tenant>", "<sequence>"],
  about: "one dead letter: why it is one, its headers, and its payload when asked for",
  flags: { payload: { about: "show the payload too: raw data that no policy has redacted" } },
  run: async (call) => {
    const query = call.has("payload") ? "payload=true" : "";
    const path = paths.deadLetter(argument(call, 0), sequenceOf(call, 1), query);
    const letter = await (await call.api()).get<DeadLetterDetail>(path);
    const lines = [
      facts([
        ["subject", letter.subject],
        ["origin", letter.origin],
        ["position", String(letter.position)],
        ["time", letter.time],
        ["reason", letter.reason],
        ["error", letter.error],
        ["rule", `${letter.policy}/${letter.rule}, version ${letter.policyVersion}`],
        [
          "payload",
          `${count(letter.sizeBytes, "byte")}${letter.truncated ? ", cut: the event was larger" : ""}`,
        ],
      ]),
      ...Object.entries(letter.headers).flatMap(([name, values]) =>
        values.map((value) => indent(`${name}: ${value}`)),
      ),
    ];
    if (letter.payloadText !== undefined) lines.push(indent(letter.payloadText));
    if (letter.payloadBase64 !== undefined) lines.push(indent(`base64 ${letter.payloadBase64}`));
    return { json: letter, text: lines.join("\n") };
  },
};

export const DLQ_DROP: Command = {
  name: "dlq drop",
  args: ["<tenant>", "[sequence]"],
  about: "drops one dead letter, or those of a filter: the events are gone",
  flags: SELECT_FLAGS,
  run: async (call) => {
    const tenant = argument(call, 0);
    const client = await call.api();
    const dryRun = call.has("dry-run");
    if (call.args[1] === undefined) {
      const dropped = await client.post<Dropped>(paths.dropDeadLetters(tenant), selectionOf(call));
      const what = count(dropped.dropped, "dead letter");
      return { json: dropped, text: dryRun ? `Would drop ${what}.` : `Dropped ${what}.` };
    }
    selectionOf(call);
    const path = paths.deadLetter(tenant, sequenceOf(call, 1), "");
    if (dryRun) await client.get(path);
    else await client.remove(path);
    const text = `${dryRun ? "Would drop" : "Dropped"} dead letter ${argument(call, 1)}.`;
    return { json: { dropped: 1, dryRun }, text };
  },
};

export const DLQ_REDRIVE: Command = {
  name: "dlq redrive",
  args: ["<tenant>", "[sequence]"],
  about: "has the policy of now decide dead letters again, oldest first",
  flags: {
    ...SELECT_FLAGS,
    rate: { value: "COUNT", about: "at most this many a second (default 500)" },
    "no-wait": { about: "do not wait for the end" },
  },
  details:
    "What the policy forwards goes to its peers, once, and is no dead letter any more; what it drops is dropped; what it " +
    "cannot decide stays. A redriven event comes after newer events of its subject.",
  run: async (call) => {
    const tenant = argument(call, 0);
    const client = await call.api();
    const rate = call.flag("rate");
    let report = await client.post<RedriveReport>(paths.redrives(tenant), {
      ...selectionOf(call),
      ...(rate === undefined ? {} : { rate: numberOf("--rate", rate) }),
    });
    while (report.state === "running" && !call.has("no-wait")) {
      report = await client.get<RedriveReport>(paths.redrive(tenant, report.id, "wait=true"));
    }
    return redriveResult(report);
  },
};

/** The dead letters that a call selects. @throws LeafmeshError `request_invalid` for none, or too much at once */
function selectionOf(call: Call): Record<string, unknown> {
  const chosen: Record<string, unknown> = {};
  if (call.args[1] !== undefined) chosen.sequence = sequenceOf(call, 1);
  for (const name of Object.keys(FILTER_FLAGS)) {
    const value = call.flag(name);
    if (value !== undefined) chosen[name] = value;
  }
  if (call.has("all")) chosen.all = true;
  const given = Object.keys(chosen);
  if (given.length === 0) {
    throw new LeafmeshError(
      "request_invalid",
      "Which dead letters? Give a sequence, a filter such as --reason or --subject, or --all",
    );
  }
  if (given.length > 1 && (chosen.sequence !== undefined || chosen.all === true)) {
    throw new LeafmeshError("request_invalid", "A sequence or --all stands alone: give no filter beside it");
  }
  return { ...chosen, ...(call.has("dry-run") ? { dryRun: true } : {}) };
}

function sequenceOf(call: Call, index: number): number {
  return numberOf(`<sequence>`, argument(call, index));
}

function numberOf(what: string, text: string): number {
  if (/^[1-9]\d{0,15}$/.test(text)) return Number(text);
  throw new LeafmeshError("request_invalid", `${what} '${text}' is no number from 1 on`);
}

function redriveResult(report: RedriveReport): Result {
  const { state, dryRun, forwarded, dropped, kept } = report;
  const outcomes = dryRun
    ? `would forward ${forwarded}, drop ${dropped}, keep ${kept}`
    : `forwarded ${forwarded}, dropped ${dropped}, kept ${kept}`;
  const head = `Redrive ${report.id} of ${report.tenant} is ${state}: ${outcomes}.`;
  const rows = report.samples.map((one) => [
    String(one.sequence),
    one.subject,
    one.policy,
    one.outcome,
    one.reason ?? "",
    one.error ?? "",
  ]);
  const text = [head];
  if (rows.length > 0) text.push(table(["SEQ", "SUBJECT", "EXPORT", "OUTCOME", "REASON", "ERROR"], rows));
  if (report.error !== null) text.push(`It ended early: ${report.error}`);
  return {
    json: report,
    text: text.join("\n"),
    ...(state === "failed" ? { failed: "timeout" as const } : {}),
  };
}
