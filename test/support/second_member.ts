/** A second sidecar of a site of a mesh: the same site file and data folder, another member name and another address of the API. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { stringify } from "yaml";
import { built, SIDECAR } from "./built.ts";
import { endProcess } from "./end_process.ts";
import { freePorts } from "./free_ports.ts";
import { type MeshSite, PATH, type SidecarEntry } from "./mesh.ts";
import { waitFor } from "./wait_for.ts";

export class SecondMember implements AsyncDisposable {
  readonly api: string;
  readonly logFile: string;
  readonly #site: MeshSite;
  readonly #siteFile: string;
  readonly name: string;
  readonly #entry: SidecarEntry;
  #process: ChildProcess | null = null;

  private constructor(site: MeshSite, name: string, api: string, entry: SidecarEntry) {
    this.#entry = entry;
    this.#site = site;
    this.name = name;
    this.api = api;
    this.logFile = join(site.folder, `sidecar-${name}.log`);
    this.#siteFile = join(site.folder, `site-${name}.yaml`);
  }

  /**
   * Writes its site file and starts it.
   * @param entry entry of its process; default that of this tree
   */
  static async start(
    site: MeshSite,
    { name = "b", entry = { path: SIDECAR } }: { readonly name?: string; readonly entry?: SidecarEntry } = {},
  ): Promise<SecondMember> {
    const [port] = await freePorts("127.0.0.1", 1);
    const api = `127.0.0.1:${port}`;
    const member = new SecondMember(site, name, api, entry);
    await writeFile(member.#siteFile, stringify({ ...site.file, api: { listen: api } }));
    await member.start();
    return member;
  }

  /** Starts it and waits until its API says that it is ready. */
  async start(): Promise<void> {
    const { path, root } = this.#entry;
    const program = root === undefined ? await built(path) : join(root, path);
    const child = spawn(process.execPath, [program, this.#siteFile], {
      stdio: ["pipe", "ignore", "pipe"],
      env: { ...process.env, PATH, LEAFMESH_MEMBER: this.name },
    });
    child.stderr.pipe(createWriteStream(this.logFile, { flags: "a" }), { end: false });
    this.#process = child;
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`member ${this.name} ended: ${await this.log()}`);
        return (await fetch(`http://${this.api}/readyz`)).ok;
      },
      { deadlineMs: 60_000, what: `member ${this.name} to be ready` },
    );
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async log(): Promise<string> {
    return await readFile(this.logFile, "utf8").catch(() => "");
  }

  /** Calls its API with the admin token. */
  async get(path: string): Promise<Response> {
    return await fetch(`http://${this.api}${path}`, {
      headers: { authorization: `Bearer ${this.#site.token}` },
    });
  }

  async put(path: string, body: unknown): Promise<Response> {
    return await fetch(`http://${this.api}${path}`, {
      method: "PUT",
      headers: {
        authorization: `Bearer ${this.#site.token}`,
        "content-type": "application/json",
        "if-none-match": "*",
      },
      body: JSON.stringify(body),
    });
  }

  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.#process === null || !(await endProcess(this.#process, signal))) return;
    this.#process = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGTERM");
  }
}
