/** `replay`: events of a range again, to a peer or to the site's own subscribers. */
import type { ReplayReport } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Command, type Result } from "../command.ts";
import { paths } from "../paths.ts";
import { facts, table } from "../table.ts";

export const REPLAY_START: Command = {
  name: "replay start",
  args: ["<tenant>"],
  about: "sends stored events again, as the policy of now decides them, with a mark",
  details:
    "To a peer: beside the route, where the peer's import says 'replay: true'.\nWith --local this site's own subscribers " +
    "hear them as <tenant>.replay.<name>.<rest>.\nEach carries the header Leafmesh-Replay. See docs/replay.md.",
  flags: {
    to: { value: "PEER", about: "the peer that is to have them" },
    policy: { value: "EXPORT", about: "which export, where several go to the peer" },
    local: { value: "NAME", about: "replay to this site's own subscribers, under this name" },
    origin: { value: "SITE", about: "where the events were published (default this site)" },
    from: { value: "PLACE", about: "first sequence, or a time in RFC 3339 (default all that is there)" },
    until: { value: "PLACE", about: "last sequence, or a time (default what is there now)" },
    subject: { value: "PATTERN", about: "only events of this subject; may be repeated", many: true },
    rate: { value: "COUNT", about: "at most this many a second (default 500)" },
    "dry-run": { about: "send nothing, count what would be" },
    "no-wait": { about: "do not wait for the end" },
  },
  run: async (call) => {
    const tenant = argument(call, 0);
    const client = await call.api();
    const peer = call.flag("to");
    const local = call.flag("local");
    if ((peer === undefined) === (local === undefined)) {
      throw new LeafmeshError("request_invalid", "Where to? Give either --to PEER or --local NAME");
    }
    const body: Record<string, unknown> = {};
    const policy = call.flag("policy");
    body.to = peer === undefined ? { local } : { peer, ...(policy === undefined ? {} : { policy }) };
    const origin = call.flag("origin");
    if (origin !== undefined) body.origin = origin;
    for (const name of ["from", "until"]) {
      const place = call.flag(name);
      if (place !== undefined) body[name] = /^\d+$/.test(place) ? Number(place) : place;
    }
    const subjects = call.all("subject");
    if (subjects.length > 0) body.subjects = subjects;
    const rate = call.flag("rate");
    if (rate !== undefined) body.rate = Number(rate);
    if (call.has("dry-run")) body.dryRun = true;
    let report = await client.post<ReplayReport>(paths.replays(tenant), body);
    while (isUnderWay(report) && !call.has("no-wait")) {
      report = await client.get<ReplayReport>(paths.replay(tenant, report.id, "wait=true"));
    }
    return replayResult(report);
  },
};

export const REPLAY_LIST: Command = {
  name: "replay list",
  args: ["<tenant>"],
  about: "replays of a tenant, newest first",
  flags: {},
  run: async (call) => {
    const page = await (await call.api()).get<{ items: readonly ReplayReport[] }>(
      paths.replays(argument(call, 0)),
    );
    const rows = page.items.map((one) => [
      one.id,
      one.startedAt.slice(0, 19),
      targetText(one),
      one.state,
      `${one.position}/${one.until}`,
      String(one.forwarded),
      one.why ?? "",
    ]);
    const head = ["ID", "STARTED", "TO", "STATE", "POSITION", "FORWARDED", "WHY"];
    return { json: page, text: rows.length === 0 ? "No replays." : table(head, rows) };
  },
};

export const REPLAY_SHOW: Command = {
  name: "replay show",
  args: ["<tenant>", "<id>"],
  about: "how a replay stands",
  flags: { wait: { about: "wait until it has ended or is paused" } },
  run: async (call) => {
    const query = call.has("wait") ? "wait=true" : "";
    const path = paths.replay(argument(call, 0), argument(call, 1), query);
    const client = await call.api();
    let report = await client.get<ReplayReport>(path);
    while (call.has("wait") && isUnderWay(report)) report = await client.get<ReplayReport>(path);
    return replayResult(report);
  },
};

export const REPLAY_PAUSE: Command = changeCommand("pause", "stops a replay until it is resumed", "paused");
export const REPLAY_RESUME: Command = changeCommand("resume", "goes on with a paused replay", "running");

export const REPLAY_CANCEL: Command = {
  name: "replay cancel",
  args: ["<tenant>", "<id>"],
  about: "ends a replay; what its peer has not taken yet is not sent",
  flags: {},
  run: async (call) => {
    const path = paths.replay(argument(call, 0), argument(call, 1), "");
    const client = await call.api();
    await client.remove(path);
    const report = await client.get<ReplayReport>(path);
    return { json: report, text: `Replay ${report.id} is being canceled.` };
  },
};

function changeCommand(verb: "pause" | "resume", about: string, state: "paused" | "running"): Command {
  return {
    name: `replay ${verb}`,
    args: ["<tenant>", "<id>"],
    about,
    flags: { rate: { value: "COUNT", about: "another rate from now on" } },
    run: async (call) => {
      const rate = call.flag("rate");
      const path = paths.replay(argument(call, 0), argument(call, 1), "");
      const body = { state, ...(rate === undefined ? {} : { rate: Number(rate) }) };
      const report = await (await call.api()).patch<ReplayReport>(path, body);
      return { json: report, text: `Replay ${report.id} is being ${verb}d.` };
    },
  };
}

function isUnderWay({ state }: ReplayReport): boolean {
  return state === "running" || state === "waiting" || state === "sent";
}

function targetText({ target }: ReplayReport): string {
  return target.type === "peer" ? `${target.peer} (${target.policy})` : `local ${target.name}`;
}

function replayResult(report: ReplayReport): Result {
  const { id, tenant, state, dryRun } = report;
  const outcomes = dryRun
    ? `would forward ${report.forwarded}, drop ${report.dropped}, quarantine ${report.quarantined}`
    : `forwarded ${report.forwarded}, dropped ${report.dropped}, quarantined ${report.quarantined}`;
  const text = [
    `Replay ${id} of ${tenant} is ${state}: ${outcomes}.`,
    facts([
      ["to", targetText(report)],
      ["range", `${report.from} to ${report.until} of ${report.stream}, at ${report.position}`],
      ["rate", `${report.rate}/s`],
      ...(report.missing > 0
        ? [["missing", `${report.missing} of the range are not there any more`] as const]
        : []),
      ...(report.why === null ? [] : [["why", report.why] as const]),
    ]),
  ];
  const rows = report.samples.map((one) => [
    String(one.sequence),
    one.subject,
    one.outcome,
    one.reason,
    one.error ?? "",
  ]);
  if (rows.length > 0) text.push(table(["SEQ", "SUBJECT", "OUTCOME", "REASON", "ERROR"], rows));
  return {
    json: report,
    text: text.join("\n"),
    ...(state === "failed" ? { failed: "conflict" as const } : {}),
  };
}
