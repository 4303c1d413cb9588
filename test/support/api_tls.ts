/** A sidecar with a certificate of the API in files that change, on whichever runtime: each step says what it has found. */
import { X509Certificate } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { connect } from "node:tls";
import { createCa, issueApi } from "../../src/nats/pki/certificates.ts";
import { startSidecar } from "../../src/sidecar.ts";
import { tempFolder } from "./temp_folder.ts";
import { waitFor } from "./wait_for.ts";

const HOUR_MS = 3_600_000;

interface Made {
  readonly cert: string;
  readonly key: string;
  readonly fingerprint: string;
}

async function make(now = new Date()): Promise<Made> {
  const ca = await createCa("berlin", { now: new Date(), ttlMs: 100 * HOUR_MS });
  const names = { site: "berlin", hosts: ["127.0.0.1"] };
  const { certPem, keyPem } = await issueApi(ca, names, { now, ttlMs: HOUR_MS });
  return { cert: certPem, key: keyPem, fingerprint: new X509Certificate(certPem).fingerprint256 };
}

/** The fingerprint of what the API shows to a new connection, and whether it answers over it. */
async function shown(port: number): Promise<{ fingerprint: string; answer: string }> {
  return await new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, rejectUnauthorized: false };
    const socket = connect(options, () => {
      const { raw } = socket.getPeerCertificate();
      let text = "";
      socket.on("data", (bytes: Uint8Array) => {
        text += new TextDecoder().decode(bytes);
        if (!text.includes("\r\n")) return;
        socket.destroy();
        const fingerprint = new X509Certificate(raw).fingerprint256;
        resolve({ fingerprint, answer: text.slice(0, text.indexOf("\r\n")) });
      });
      socket.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    });
    socket.on("error", reject);
    socket.setTimeout(5000, () => socket.destroy(new Error("The API says nothing")));
  });
}

/**
 * Starts a sidecar with `api.tls`, replaces its files by worse and better ones, and looks at what new connections get.
 * @throws Error when one does not get what it should
 */
export async function changeApiTls(): Promise<void> {
  await using temp = await tempFolder();
  await mkdir(temp.path, { recursive: true });
  const put = async (name: string, text: string) => {
    await writeFile(join(temp.path, `${name}.new`), text, { mode: 0o600 });
    await rename(join(temp.path, `${name}.new`), join(temp.path, name));
  };
  const install = async ({ cert, key }: Pick<Made, "cert" | "key">) => {
    await put("key.pem", key);
    await put("cert.pem", cert);
  };
  const [first, second, third] = [await make(), await make(), await make()];
  const expired = await make(new Date(Date.now() - 3 * HOUR_MS));
  await install(first);
  const anyPort = "127.0.0.1:0";
  const said: string[] = [];
  await using sidecar = await startSidecar({
    base: temp.path,
    file: {
      site: "berlin",
      data: "data",
      server: { listen: anyPort, leaf: anyPort, sync: "1s" },
      api: { listen: anyPort, tls: { cert: "cert.pem", key: "key.pem" } },
    },
    env: { PATH: process.env.PATH },
    log: (level, part, message) => {
      if (part === "api" || level === "error") said.push(`${level} ${message}`);
    },
  });
  const port = Number(new URL(sidecar.apiUrl).port);
  const requireShown = async ({ fingerprint }: Made, what: string) => {
    const found = await shown(port);
    if (found.fingerprint !== fingerprint || !found.answer.includes(" 200"))
      throw new Error(`${what}: the API shows ${JSON.stringify(found)}, expected ${fingerprint}`);
  };
  const heard = async (text: string) =>
    await waitFor(() => said.some((line) => line.includes(text)), {
      deadlineMs: 30_000,
      what: `'${text}' in the log`,
    });
  await requireShown(first, "at the start");

  for (const [bad, why] of [
    [{ cert: second.cert, key: first.key }, "api.tls.key is not the key of api.tls.cert"],
    [expired, "the one in api.tls.cert has expired at"],
    [{ cert: "no certificate", key: second.key }, "api.tls.cert holds no certificate in PEM"],
  ] as const) {
    await install(bad);
    await heard(`warn the certificate of the API stays as it was: ${why}`);
    await requireShown(first, why);
  }
  for (const good of [second, third]) {
    const before = said.length;
    await install(good);
    await waitFor(() => said.slice(before).some((line) => line.includes("another certificate")), {
      deadlineMs: 30_000,
      what: "the new certificate",
    });
    await requireShown(good, "after a change");
  }
  const errors = said.filter((line) => line.startsWith("error"));
  if (errors.length > 0) throw new Error(errors.join("\n"));
}
