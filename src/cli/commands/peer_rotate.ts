/** `peer rotate`: another certificate, CA or site key, told to the peers before it is used. */
import type { RotationList, RotationReport } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { RotationKind } from "../../model/rotation.ts";
import type { Call, Command, Result } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

/** Flags by kind: `--ca` is that of the API, of every command. */
const FLAGS = { certificate: "certificate", ca: "site-ca", key: "key" } as const;
const KINDS = ["certificate", "ca", "key"] as const;
const NAMES = { certificate: "certificate of the links", ca: "CA", key: "site key" } as const;

export const PEER_ROTATE: Command = {
  name: "peer rotate",
  args: ["[peer...]"],
  about: "takes another certificate, CA or key into use, without losing an event",
  details:
    "A new CA or key is told to all peers, which trust both; it is used when all have confirmed, and then they drop the old one. A peer that does not answer holds that up: --status says which, --finish goes on without it. Naming peers makes only their links anew (--certificate).",
  flags: {
    certificate: { about: "a new certificate of the links, under the same CA (default)" },
    "site-ca": { about: "a new CA" },
    key: { about: "a new site key" },
    status: { about: "only show how far the last rotations are" },
    finish: { about: "go on without the peers that do not answer; they must be told by hand" },
  },
  run: async (call) => {
    const chosen = KINDS.filter((kind) => call.has(FLAGS[kind]));
    if (chosen.length > 1)
      throw new LeafmeshError(
        "request_invalid",
        `--${chosen.map((kind) => FLAGS[kind]).join(" and --")}: expected one of them at a time`,
      );
    const client = await call.api();
    if (call.has("status")) {
      const { items } = await client.get<RotationList>(paths.rotations);
      return { json: items, text: items.map(describe).join("\n\n") || "No rotations yet." };
    }
    const what = chosen[0] ?? "certificate";
    if (call.has("finish")) return await finish(call, what, chosen.length > 0);
    await client.post<RotationReport>(paths.rotations, { what, ...peersOf(call) });
    return shown(await client.get<RotationReport>(paths.settledRotation(what)));
  },
};

/** Without a kind: the one that is open. */
async function finish(call: Call, given: RotationKind, chosen: boolean): Promise<Result> {
  const client = await call.api();
  const { items } = await client.get<RotationList>(paths.rotations);
  const open = items.find(({ phase }) => phase !== "done")?.what;
  const what = chosen ? given : (open ?? given);
  await client.post<RotationReport>(paths.finishRotation(what));
  return shown(await client.get<RotationReport>(paths.settledRotation(what)));
}

function peersOf({ args }: Call): { readonly peers?: readonly string[] } {
  return args.length === 0 ? {} : { peers: args };
}

function shown(report: RotationReport): Result {
  const done = report.phase === "done";
  return { json: report, text: describe(report), ...(done ? {} : { failed: "peer_unreachable" as const }) };
}

function describe({ what, phase, startedAt, endedAt, from, next, failure, peers }: RotationReport): string {
  const end = endedAt === null ? `since ${startedAt}: ${phase}` : `done at ${endedAt}`;
  const lines = [`${NAMES[what]}, ${end}`, `  from ${from}`, `  to   ${next}`];
  if (failure !== null) lines.push(`  this site: ${failure}`);
  if (peers.length > 0) {
    const rows = peers.map(({ peer, state, why, remedy }) => [peer, state, remedy ?? why ?? ""]);
    lines.push(
      ...table(["PEER", "STATE", ""], rows)
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`),
    );
  }
  const waiting = peers.filter(({ state }) => state === "waiting").map(({ peer }) => peer);
  if (waiting.length > 0)
    lines.push(
      `  waits for ${waiting.join(", ")}: it goes on when they answer, or without them with --finish`,
    );
  return lines.join("\n");
}
