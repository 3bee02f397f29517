/** Picture files of the user, put into the host's input folder by the host's own route. */

import { make } from "../dom.js";
import { say } from "../words.js";

/**
 * Let the user choose picture files.
 * @param {boolean} several
 * @returns {Promise<File[]>} none when the user does not want to after all
 */
export function chooseFiles(several) {
  const input = make("input", "", { type: "file", accept: "image/*", hidden: "", ...(several ? { multiple: "" } : {}) });
  document.body.append(input);
  return new Promise((resolve) => {
    const end = () => {
      input.remove();
      resolve([...input.files]);
    };
    input.addEventListener("change", end);
    input.addEventListener("cancel", end);
    input.click();
  });
}

/** The picture files that something dropped or pasted has. @param {DataTransfer | null} transfer @returns {File[]} */
export function picturesOf(transfer) {
  return [...(transfer?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

/** Whether this browser lets a page read the clipboard: only on an address that it trusts, such as this computer's. */
export function canReadClipboard() {
  return Boolean(navigator.clipboard?.read);
}

/** The pictures on the clipboard; fails when the user does not allow it. @returns {Promise<File[]>} */
export async function picturesOnClipboard() {
  const items = await navigator.clipboard.read();
  const found = items.flatMap((item) => item.types.filter((type) => type.startsWith("image/")).slice(0, 1).map((type) => [item, type]));
  return Promise.all(found.map(async ([item, type]) => new File([await item.getType(type)], `pasted.${type.slice(6)}`, { type })));
}

/** Whether something dragged over the page may contain picture files: their type is often known only at the drop. */
export function mayHavePictures(transfer) {
  const files = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  return files.length ? files.some(({ type }) => !type || type.startsWith("image/")) : Boolean(transfer?.types.includes("Files"));
}

/**
 * Put a picture into the input folder.
 * @param {{fetchApi: (path: string, options: object) => Promise<Response>}} api
 * @param {File} file
 * @returns {Promise<string>} its name there, as Load Image has it; fails with a sentence for the user
 */
export async function upload(api, file) {
  await check(file);
  const body = new FormData();
  body.append("image", file, file.name);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body }).catch(() => null);
  if (!answer?.ok) throw new Error(say("not_uploaded", { name: file.name, reason: answer ? `HTTP ${answer.status}` : say("no_answer") }));
  const { name, subfolder } = await answer.json();
  return subfolder ? `${subfolder}/${name}` : name;
}

async function check(file) {
  try {
    (await createImageBitmap(file)).close();
  } catch {
    throw new Error(say("not_a_picture", { name: file.name }));
  }
}
