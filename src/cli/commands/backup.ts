/** `backup` and `restore`: a site that is stopped, as one file. */
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Call, type Command } from "../command.ts";

const PASSPHRASE = "LEAFMESH_BACKUP_PASSPHRASE";
const FILE_FLAG = {
  "passphrase-file": { value: "PATH", about: `file with their passphrase (default: ${PASSPHRASE})` },
} as const;

export const BACKUP: Command = {
  name: "backup",
  args: ["<file>"],
  about: "writes a stopped site into a file: state, events, positions, audit trail",
  details: "Name its data folder with --data. Keys are left out but with --keys. See docs/backup.md.",
  flags: { keys: { about: "with its keys, encrypted by a passphrase" }, ...FILE_FLAG },
  run: async (call) => {
    const passphrase = call.has("keys") ? await passphraseOf(call) : null;
    if (call.has("keys") && passphrase === null) {
      throw new LeafmeshError(
        "request_invalid",
        `--keys wants a passphrase: --passphrase-file or ${PASSPHRASE}`,
      );
    }
    const sidecar = await call.effects.sidecar();
    const file = argument(call, 0);
    const report = await sidecar.backupSite({ data: dataOf(call), file, passphrase });
    const keys = report.keys ? "with its keys" : "without its keys: keep them elsewhere";
    return {
      json: report,
      text: `Site ${report.site} is in ${file}: ${report.files} files, ${report.bytes} bytes, ${keys}.`,
    };
  },
};

export const RESTORE: Command = {
  name: "restore",
  args: ["<file>"],
  about: "puts a site that was backed up into a data folder that has none",
  details:
    "Everything is checked before anything is written. See docs/backup.md for what a restored site is.",
  flags: {
    site: { value: "NAME", about: "refuse the backup of another site" },
    "no-keys": { about: "leave the keys of the backup out" },
    ...FILE_FLAG,
  },
  run: async (call) => {
    const passphrase = call.has("no-keys") ? null : await passphraseOf(call);
    const sidecar = await call.effects.sidecar();
    const report = await sidecar.restoreSite({
      data: dataOf(call),
      file: argument(call, 0),
      passphrase,
      withoutKeys: call.has("no-keys"),
      site: call.flag("site") ?? null,
    });
    return {
      json: report,
      text: `Site ${report.site} as of ${report.createdAt} is in ${dataOf(call)}: ${report.files} files, ${report.bytes} bytes.`,
    };
  },
};

function dataOf(call: Call): string {
  const data = call.flag("data");
  if (data === undefined)
    throw new LeafmeshError("request_invalid", "Which site? Name its data folder with --data");
  return data;
}

async function passphraseOf(call: Call): Promise<string | null> {
  const file = call.flag("passphrase-file");
  if (file === undefined) return call.effects.env(PASSPHRASE) ?? null;
  return new TextDecoder().decode(await call.effects.readFile(file)).trim();
}
