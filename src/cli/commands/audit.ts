/** `audit list|export|verify`: who changed what, and whether the trail of it is whole. */
import type { AuditPage } from "../../../routes/answers.ts";
import { type AuditRecord, type ChainHead, type VerifyReport, verifyTrail } from "../../model/audit.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Call, type Command, type Flags } from "../command.ts";
import { paths } from "../paths.ts";
import { count, facts, table } from "../table.ts";

const RANGE_FLAGS = {
  since: { value: "TIME", about: "only records since then, RFC 3339" },
  until: { value: "TIME", about: "only records until then, RFC 3339" },
} as const satisfies Flags;

export const AUDIT_LIST: Command = {
  name: "audit list",
  args: [],
  about: "records of the audit trail, oldest first: changes, refusals, events",
  flags: {
    ...RANGE_FLAGS,
    who: { value: "NAME", about: "only what this one asked for or was refused" },
    target: { value: "TEXT", about: "only what was done to something with this in its name" },
    type: { value: "TYPE", about: "only intent, change, result, denial or event" },
    after: { value: "NUMBER", about: "continue after this record" },
    limit: { value: "COUNT", about: "at most this many, up to 1000 (default 100)" },
  },
  run: async (call) => {
    const query = queryOf(call, ["since", "until", "who", "target", "type", "after", "limit"]);
    const page = await (await call.api()).get<AuditPage>(paths.audit(query));
    const rows = page.items.map((record) => [
      String(record.seq),
      record.at.slice(0, 19),
      record.type,
      whoOf(record),
      record.operation,
      record.target,
      `${record.result ?? ""}${(record.count ?? 1) > 1 ? ` (${record.count} times)` : ""}`,
    ]);
    const head = ["SEQ", "TIME", "TYPE", "WHO", "OPERATION", "TARGET", "RESULT"];
    const more = page.next === null ? "" : `\nMore: --after ${page.next}`;
    const text = rows.length === 0 ? "No records." : table(head, rows, 140);
    return { json: page, text: `${text}${more}\nhead: ${page.head.seq}:${page.head.hash}` };
  },
};

export const AUDIT_EXPORT: Command = {
  name: "audit export",
  args: [],
  about: "the audit trail as JSON lines, as it is stored",
  flags: { ...RANGE_FLAGS, file: { value: "PATH", about: "write to this new file instead of the terminal" } },
  run: async (call) => {
    const text = await (await call.api()).text(paths.auditExport(queryOf(call, ["since", "until"])));
    const file = call.flag("file");
    const records = text.split("\n").length - 1;
    if (file === undefined) {
      call.effects.stdout(text);
      return { json: null, text: "", exit: 0 };
    }
    await call.effects.createFile(file, text, 0o600);
    return { json: { file, records }, text: `${count(records, "record")} written to ${file}.` };
  },
};

export const AUDIT_VERIFY: Command = {
  name: "audit verify",
  args: ["<file>"],
  about: "whether an exported trail is whole and the site's; needs no sidecar",
  details:
    "Says the first record that was changed, removed, replaced or moved. What was cut off at the end is found by a head that\nwas kept elsewhere: `leafmesh audit list` shows it, as does the metric leafmesh_audit_records.",
  flags: {
    key: {
      value: "PUBLIC-KEY",
      about: "public key of the site, as status shows it; one for each it has had",
      many: true,
    },
    head: { value: "SEQ:HASH", about: "a head that was kept: the trail must hold it" },
  },
  run: async (call) => {
    const keys = call.all("key");
    if (keys.length === 0) {
      throw new LeafmeshError("request_invalid", "Whose trail is it? Give the site's public key with --key");
    }
    const head = headOf(call.flag("head"));
    const text = new TextDecoder().decode(await call.effects.readFile(argument(call, 0)));
    const report = verifyTrail(text.split("\n"), { keys, ...(head === null ? {} : { head }) });
    return {
      json: report,
      text: reportText(report),
      ...(report.ok ? {} : { failed: "conflict" as const }),
    };
  },
};

function reportText({ ok, records, first, head, broken, notes }: VerifyReport): string {
  const lines = [
    facts([
      ["records", String(records)],
      ["first", first === null ? "none" : String(first.seq)],
      ["head", head === null ? "none" : `${head.seq}:${head.hash}`],
    ]),
    ...notes.map((note) => `note: ${note}`),
  ];
  if (ok) lines.push("The trail is whole, and the site's.");
  else {
    const which = broken?.seq === null || broken?.seq === undefined ? "" : `, record ${broken.seq}`;
    lines.push(`BROKEN at line ${broken?.line}${which}: ${broken?.what}`);
  }
  return lines.join("\n");
}

function headOf(text: string | undefined): ChainHead | null {
  if (text === undefined) return null;
  const found = /^([1-9]\d{0,15}):([0-9a-f]{64})$/.exec(text);
  if (found === null) {
    throw new LeafmeshError(
      "request_invalid",
      `--head '${text}' is no head (expected SEQ:HASH, as audit list shows it)`,
    );
  }
  return { seq: Number(found[1]), hash: found[2] ?? "" };
}

function whoOf({ who, from }: AuditRecord): string {
  const name =
    who === null ? "?" : who.type === "token" || who.type === "oidc" ? who.name : `${who.type} ${who.name}`;
  return from === null || from === "" ? name : `${name} (${from})`;
}

function queryOf(call: Call, names: readonly string[]): string {
  const query = new URLSearchParams();
  for (const name of names) {
    const value = call.flag(name);
    if (value !== undefined) query.set(name, value);
  }
  return query.toString();
}
