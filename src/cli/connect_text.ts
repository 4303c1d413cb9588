/** How a user of a tenant connects: in words, as a context of the `nats` command line, and as plain settings. */
import type { SiteReport } from "../../routes/answers.ts";
import { userConsumer, userInbox } from "../model/names.ts";
import type { Role } from "../model/schema/user.ts";
import type { Call, Flags } from "./command.ts";
import { absolute, type Secret } from "./user_credential.ts";

/** A user as its client must know it. */
export interface ConnectingUser {
  readonly tenant: string;
  readonly name: string;
  readonly role: Role;
  /** It has a consumer of its own on the log. */
  readonly log: boolean;
  /** It connects over MQTT alone. */
  readonly mqtt: boolean;
  readonly secret: Secret;
}

export const SETTINGS_FLAGS = {
  context: { value: "PATH", about: "write a context of the `nats` command line there, mode 0600" },
  env: { value: "PATH", about: "write settings as NAME=value lines there, mode 0600" },
} as const satisfies Flags;

/** The prefix of its replies that a user must choose; `null`: the one that its library has. */
function inboxOf({ role, name, mqtt }: ConnectingUser): string | null {
  return !mqtt && (role === "publisher" || role === "subscriber") ? userInbox(name) : null;
}

/** A context of the `nats` command line: `nats --context` takes its name, `NATS_CONTEXT` its path. */
export function contextText(site: SiteReport, user: ConnectingUser): string {
  const { secret } = user;
  const inbox = inboxOf(user);
  const context = {
    description: `${user.role} ${user.name} of ${user.tenant} at ${site.site} (Leafmesh)`,
    url: `nats://${site.server.listen}`,
    ...(secret.type === "password"
      ? { user: secret.login, password: secret.password }
      : secret.file === null
        ? {}
        : { nkey: absolute(secret.file) }),
    ...(inbox === null ? {} : { inbox_prefix: inbox }),
  };
  return `${JSON.stringify(context, null, 2)}\n`;
}

/** Settings for clients that read their environment, and for people who copy them. */
export function envText(site: SiteReport, user: ConnectingUser): string {
  const { secret } = user;
  const inbox = inboxOf(user);
  const lines: [string, string][] = [];
  if (secret.type === "password" && user.mqtt) {
    lines.push(
      ["MQTT_URL", mqttUrl(site)],
      ["MQTT_USERNAME", secret.login],
      ["MQTT_PASSWORD", secret.password],
    );
    return settingsText(lines);
  }
  lines.push(["NATS_URL", `nats://${site.server.listen}`]);
  if (secret.type === "password") {
    lines.push(["NATS_USER", secret.login], ["NATS_PASSWORD", secret.password]);
  } else {
    lines.push(["NATS_NKEY_PUBLIC", secret.publicKey]);
    if (secret.file !== null) lines.push(["NATS_NKEY", absolute(secret.file)]);
  }
  if (inbox !== null) lines.push(["NATS_INBOX_PREFIX", inbox]);
  if (user.log) lines.push(["NATS_STREAM", user.tenant], ["NATS_CONSUMER", userConsumer(user.name)]);
  if (site.server.websocket !== null) lines.push(["NATS_WS_URL", `ws://${site.server.websocket}`]);
  return settingsText(lines);
}

/** A password that a person chose may hold what a shell would read. */
function settingsText(lines: readonly (readonly [string, string])[]): string {
  const quoted = (value: string) =>
    /^[\w.:/@%+,=-]*$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
  return lines.map(([name, value]) => `${name}=${quoted(value)}\n`).join("");
}

/** Where clients of MQTT connect; a site that listens for none yet is told apart by the words. */
function mqttUrl(site: SiteReport): string {
  return site.server.mqtt === null ? "mqtt://<set server.mqtt>" : `mqtt://${site.server.mqtt}`;
}

/**
 * Writes the settings that the flags ask for, and runs `work` with the names of the files. Where it fails, they are removed
 * again.
 *
 * @throws LeafmeshError `conflict`
 */
export async function withSettings<T>(
  call: Call,
  site: SiteReport,
  user: ConnectingUser,
  work: (files: readonly string[]) => Promise<T>,
): Promise<T> {
  const written: string[] = [];
  try {
    await writeSettings(call, site, user, written);
    return await work(written);
  } catch (thrown) {
    for (const path of written) await call.effects.removeFile(path);
    throw thrown;
  }
}

async function writeSettings(
  call: Call,
  site: SiteReport,
  user: ConnectingUser,
  written: string[],
): Promise<void> {
  for (const [flag, text] of [
    ["context", contextText],
    ["env", envText],
  ] as const) {
    const path = call.flag(flag);
    if (path === undefined) continue;
    await call.effects.createFile(path, text(site, user), 0o600);
    written.push(path);
  }
}

/** How an app of this user connects, in words. */
export function connectText(site: SiteReport, user: ConnectingUser, files: readonly string[]): string {
  const { secret } = user;
  const url = `nats://${site.server.listen}`;
  const inbox = inboxOf(user);
  const prefix = inbox === null ? "" : ` --inbox-prefix ${inbox}`;
  const example = exampleOf(user);
  const lines: string[] = [];
  if (secret.type === "nkey" && secret.file === null) {
    lines.push(`Connect to ${url} with the seed of ${secret.publicKey}.`);
  } else if (secret.type === "nkey") {
    lines.push(
      `Its seed is in ${secret.file}: keep it secret, there is no copy.`,
      `Connect to ${url} with it, for example:`,
      `  nats --server ${url} --nkey ${secret.file}${prefix} ${example}`,
    );
  } else if (user.mqtt) {
    const where = secret.file === null ? "the one that you chose" : `in ${secret.file}: keep it secret`;
    lines.push(`It logs in to ${mqttUrl(site)} as ${secret.login}. Its password is ${where}.`);
  } else {
    const where =
      secret.file === null ? "the one that you chose" : `in ${secret.file}: keep it secret, there is no copy`;
    lines.push(`It logs in to ${url} as ${secret.login}. Its password is ${where}.`);
  }
  if (inbox !== null) {
    lines.push(`Replies go to its own inbox alone: have the client use the inbox prefix ${inbox}.`);
  }
  if (user.log)
    lines.push(`It reads the stream ${user.tenant} through the consumer ${userConsumer(user.name)}.`);
  if (files.length > 0) lines.push(`Settings are written to ${files.join(" and ")}.`);
  return lines.join("\n");
}

function exampleOf({ role, tenant, name, log }: ConnectingUser): string {
  if (role !== "subscriber") return `pub ${tenant}.hello hello`;
  return log ? `consumer next ${tenant} ${userConsumer(name)}` : `sub '${tenant}.>'`;
}
