/** `peer invite|invitations|uninvite|join|revoke`: two sites become peers with one token, or are peers no more. */
import type {
  InvitationList,
  Invited,
  JoinPreview,
  JoinReport,
  RevokeReport,
} from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { Address, Name } from "../../model/schema/scalars.ts";
import { checked } from "../check.ts";
import { argument, type Call, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

export const PEER_INVITE: Command = {
  name: "peer invite",
  args: ["<site>"],
  about: "prints a token with which that site can join this one, once",
  flags: {
    expires: { value: "15m", about: "how long the token is good (default 15m, at most 24h)" },
    address: {
      value: "HOST:PORT",
      about: "where that site finds us (default: server.advertise, else the leaf address)",
    },
  },
  run: async (call) => {
    const address = call.flag("address");
    const expires = call.flag("expires");
    const body = {
      site: checked(Name, argument(call, 0), "<site>"),
      ...(expires === undefined ? {} : { expires }),
      ...(address === undefined ? {} : { address: checked(Address, address, "--address") }),
    };
    const client = await call.api();
    const made = await client.post<Invited>(paths.invitations, body);
    if (!call.json) {
      call.effects.stderr(
        `For ${made.site}, once, until ${made.expires}; it dials ${made.address}. Hand it over where nobody else reads it. There:\n  leafmesh peer join <token>\n`,
      );
    }
    return { json: made, text: made.token };
  },
};

export const PEER_INVITATIONS: Command = {
  name: "peer invitations",
  args: [],
  about: "invitations that are open or were lately",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<InvitationList>(paths.invitations);
    const rows = items.map((one) => [
      one.id,
      one.site,
      one.state,
      one.since,
      one.expires,
      one.address,
      one.by ?? "-",
    ]);
    const text =
      rows.length === 0
        ? "No invitations."
        : table(["ID", "SITE", "STATE", "SINCE", "EXPIRES", "ADDRESS", "BY"], rows);
    return { json: items, text };
  },
};

export const PEER_UNINVITE: Command = {
  name: "peer uninvite",
  args: ["<id>"],
  about: "closes an invitation at once",
  flags: {},
  run: async (call) => {
    const id = argument(call, 0);
    await (await call.api()).remove(paths.invitation(id));
    return { json: { id, revoked: true }, text: `Invitation ${id} is closed.` };
  },
};

export const PEER_JOIN: Command = {
  name: "peer join",
  args: ["<token>"],
  about: "joins the site that has made the token (- reads it from stdin)",
  flags: {
    yes: { about: "do not ask" },
    "dial-back": {
      value: "HOST:PORT",
      about: "where that site is to dial this one (default: this one dials)",
    },
  },
  run: async (call) => {
    const dialBack = call.flag("dial-back");
    const body = {
      token: await tokenOf(call),
      ...(dialBack === undefined ? {} : { dialBack: checked(Address, dialBack, "--dial-back") }),
    };
    const client = await call.api();
    const preview = await client.post<JoinPreview>(paths.joins, { ...body, preview: true });
    if (!call.has("yes")) await ask(call, preview);
    const joined = await client.post<JoinReport>(paths.joins, body);
    const how = joined.linked
      ? `linked after ${(joined.linkedMs / 1000).toFixed(1)} s`
      : "but the link is not up yet: see 'leafmesh links'";
    return {
      json: joined,
      text: `${joined.site} is a peer of this site, ${how}.\nNothing flows yet: say what you share (export put) and what you accept (import put).`,
      ...(joined.linked ? {} : { failed: "peer_unreachable" as const }),
    };
  },
};

export const PEER_REVOKE: Command = {
  name: "peer revoke",
  args: ["<name>"],
  about: "cuts the link with a peer at once, for good",
  flags: {},
  run: async (call) => {
    const report = await (await call.api()).post<RevokeReport>(paths.revokePeer(argument(call, 0)));
    const seconds = (report.cutMs / 1000).toFixed(2);
    const cut = report.cut === 0 ? "it was not linked" : `its link was cut after ${seconds} s`;
    const gone = report.gone ? "" : "\nThe server still has a connection of it: see 'leafmesh links'.";
    const closed = report.invitations === 0 ? "" : `\nInvitations closed: ${report.invitations}.`;
    return {
      json: report,
      text: `${report.peer} is revoked, ${cut}.${gone}${closed}\nIts key ${report.key} cannot come back, but with 'leafmesh peer add --force'.`,
      ...(report.gone ? {} : { failed: "apply_failed" as const }),
    };
  },
};

async function tokenOf(call: Call): Promise<string> {
  const given = argument(call, 0);
  return given === "-" ? new TextDecoder().decode(await call.effects.readFile("/dev/stdin")).trim() : given;
}

/** Shows what would be trusted, and asks. @throws LeafmeshError `request_invalid` without a yes */
async function ask(call: Call, preview: JoinPreview): Promise<void> {
  const lines = [
    ["site", preview.site],
    ["address", preview.address],
    ["site key", preview.key],
    ["CA", preview.caFingerprint === null ? "none: links are plain" : `SHA-256 ${preview.caFingerprint}`],
    ["expires", preview.expires],
    ["dials", preview.dials],
  ];
  const known = preview.known ? " (a peer already)" : "";
  call.effects.stderr(
    `This site will trust${known}:\n${lines.map(([name, value]) => `  ${name?.padEnd(9)} ${value}`).join("\n")}\n`,
  );
  const answer = await call.effects.ask(`Make ${preview.site} a peer? [y/N] `);
  if (answer === null)
    throw new LeafmeshError(
      "request_invalid",
      "Nobody can be asked here: look at what is shown, and use --yes",
    );
  if (!/^y(es)?$/i.test(answer.trim())) throw new LeafmeshError("request_invalid", "Nothing was changed");
}
