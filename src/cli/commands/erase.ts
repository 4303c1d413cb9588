/** `erase` and `erasure list`: takes events out of all streams, here and at the peers that have them. */
import type { ErasureReport, PeerErasure } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { count, indent, table } from "../table.ts";

export const ERASE: Command = {
  name: "erase",
  args: ["<tenant>"],
  about: "erases events here and at the peers that have them",
  details:
    "Without --yes nothing is erased: what would be is shown. docs/erasure.md says what it reaches and what not.",
  flags: {
    subject: { value: "PATTERN", about: "subject or pattern of the events" },
    origin: { value: "SITE", about: "where they were published (default this site)" },
    id: { value: "MSGID", about: "only the event with this Nats-Msg-Id" },
    sequence: { value: "NUMBER", about: "only the event that had this sequence in its PubAck" },
    since: { value: "TIME", about: "only those stored since then, RFC 3339" },
    until: { value: "TIME", about: "only those stored until then, RFC 3339" },
    all: { about: "all events of the subject" },
    "dry-run": { about: "erase nothing, show what and where" },
    yes: { about: "erase" },
  },
  run: async (call) => {
    const tenant = argument(call, 0);
    const body: Record<string, unknown> = {};
    for (const name of ["subject", "origin", "id", "since", "until"]) {
      const value = call.flag(name);
      if (value !== undefined) body[name] = value;
    }
    const sequence = call.flag("sequence");
    if (sequence !== undefined) body.sequence = Number(sequence);
    if (call.has("all")) body.all = true;
    if (body.subject === undefined) {
      throw new LeafmeshError("request_invalid", "Which events? Give their subject with --subject");
    }
    const dryRun = call.has("dry-run") || !call.has("yes");
    const client = await call.api();
    const report = await client.post<ErasureReport>(paths.erasures(tenant), { ...body, dryRun });
    const more = dryRun && !call.has("dry-run") ? "\nNothing was erased: add --yes to erase." : "";
    return { json: report, text: `${reportText(report)}${more}` };
  },
};

export const ERASURE_LIST: Command = {
  name: "erasure list",
  args: ["<tenant>", "[id]"],
  about: "how the erasures of a tenant stand",
  flags: {},
  run: async (call) => {
    const client = await call.api();
    const tenant = argument(call, 0);
    if (call.args[1] !== undefined) {
      const report = await client.get<ErasureReport>(paths.erasure(tenant, call.args[1]));
      return { json: report, text: reportText(report) };
    }
    const { items } = await client.get<{ items: readonly ErasureReport[] }>(paths.erasures(tenant));
    const rows = items.map(({ id, startedAt, state, origin, events, why }) => [
      id,
      startedAt.slice(0, 19),
      state,
      origin,
      String(events),
      why ?? "",
    ]);
    const head = ["ID", "STARTED", "STATE", "ORIGIN", "EVENTS", "WHY"];
    return { json: items, text: rows.length === 0 ? "No erasures." : table(head, rows) };
  },
};

function reportText({ id, dryRun, state, events, erased, peers, why }: ErasureReport): string {
  const head = dryRun
    ? `Dry run: ${count(events, "event")} would be erased.`
    : `Erasure ${id}, ${count(events, "event")}: ${state}.`;
  const lines = [head, ...placesOf(erased), ...peers.flatMap(peerLines)];
  if (why !== null && !dryRun) lines.push(`It goes on by itself: ${why}`);
  return lines.join("\n");
}

function placesOf(erased: Readonly<Record<string, number>>): string[] {
  return Object.entries(erased).map(([stream, copies]) => `  ${stream}  ${count(copies, "copy", "copies")}`);
}

function peerLines({ peer, state, erased, why, peers }: PeerErasure): string[] {
  return [
    `${peer}: ${state}${why === null ? "" : ` (${why})`}`,
    ...placesOf(erased),
    ...peers.flatMap(peerLines).map((line) => indent(line)),
  ];
}
