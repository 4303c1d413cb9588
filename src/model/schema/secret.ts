/** Where a secret is kept outside of the data folder. */
import { z } from "zod";

export const SecretSource = z
  .union([
    z.strictObject({ file: z.string().min(1) }),
    z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/) }),
    z.strictObject({ command: z.array(z.string().min(1)).min(1) }),
  ])
  .meta({
    id: "SecretSource",
    description: "A file of mode 0600, an environment variable, or a command that prints the secret",
  });
export type SecretSource = z.infer<typeof SecretSource>;

export const SecretSettings = z
  .strictObject({
    site: SecretSource.optional().meta({ description: "Seed of the site key" }),
    mesh: SecretSource.optional().meta({ description: "Seed of the sidecar's user in MESH" }),
    sys: SecretSource.optional().meta({ description: "Seed of the sidecar's user in the system account" }),
  })
  .meta({ id: "SecretSettings" });
export type SecretSettings = z.infer<typeof SecretSettings>;

export const EncryptionSettings = z
  .strictObject({
    cipher: z.enum(["chachapoly", "aes"]).optional().meta({ description: "Default chachapoly" }),
    key: SecretSource.optional().meta({
      description: "Default: made at the first start, kept as keys/jetstream.key in the data folder",
    }),
  })
  .meta({ id: "EncryptionSettings" });
export type EncryptionSettings = z.infer<typeof EncryptionSettings>;
