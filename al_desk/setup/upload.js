// @ts-check
// A .zip or pictures on their way to the server, by our own route: nothing of it goes through
// Streamlit. Part of one module with widgets/picture.js.

const uploads = new WeakMap(); // shadow root -> upload

export default function ({ data, parentElement, setStateValue }) {
  let upload = uploads.get(parentElement);
  if (!upload) {
    upload = createUpload();
    uploads.set(parentElement, upload);
    parentElement.append(upload.node);
  }
  Object.assign(upload.page, { data, send: setStateValue });
  const call = ++upload.calls;
  return () => {
    if (call !== upload.calls) return; // overtaken by another call
    upload.stop();
    upload.node.remove();
    uploads.delete(parentElement);
  };
}

function createUpload() {
  const page = {}; // what the page said last: `data`, and `send`
  /** @type {XMLHttpRequest?} */
  let request = null;
  const files = el("input", { type: "file", multiple: true, hidden: true,
    accept: "image/*,.heic,.heif,.jp2,.zip,.csv,.jsonl", onchange: () => start(files.files) });
  const choose = el("button", { type: "button", onclick: () => files.click() },
    "Upload a .zip or pictures");
  const bar = el("progress", { max: 1, ariaLabel: "Upload" });
  const said = el("span", { role: "status" });
  const cancel = el("button", { type: "button", onclick: () => { request?.abort(); wait(false); } },
    "Cancel");
  const going = el("div", { className: "going", hidden: true }, bar, said, cancel);
  const problem = el("p", { role: "alert", hidden: true });
  const node = el("div", { className: "upload", "data-testid": "upload" }, files, choose, going,
    problem);
  node.addEventListener("dragover", (event) => event.preventDefault());
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    const dropped = event.dataTransfer;
    if ([...dropped.items].some((item) => item.webkitGetAsEntry()?.isDirectory)) {
      show("A folder cannot be uploaded as it is: pack it into a .zip.");
    } else if (!request) start(dropped.files);
  });

  function show(sentence) {
    problem.textContent = sentence;
    problem.hidden = !sentence;
  }

  function wait(isGoing) {
    going.hidden = !isGoing;
    choose.hidden = isGoing;
    if (!isGoing) request = null;
  }

  // The server would refuse too, but a browser that still sends does not hear it.
  function tooMuch(chosen) {
    const bytes = chosen.reduce((sum, file) => sum + file.size, 0);
    return chosen.length > page.data.files || bytes > page.data.bytes;
  }

  async function start(list) {
    const chosen = [...list];
    files.value = ""; // so that the same can be chosen again
    if (!chosen.length) return;
    show("");
    if (tooMuch(chosen)) return show(page.data.tooMuch);
    const names = JSON.stringify(chosen.map((file) => [file.name, file.size]));
    const sent = new XMLHttpRequest(); // fetch does not tell how far it has come
    const name = Math.random().toString(36).slice(2);
    request = sent;
    sent.upload.onprogress = ({ loaded, total }) => {
      bar.value = loaded / total;
      said.textContent = `${Math.floor(100 * loaded / total)}% of ${inWords(total)}`;
    };
    sent.upload.onload = () => {
      bar.removeAttribute("value");
      said.textContent = "Looking what it is";
      follow(sent, name);
    };
    sent.onerror = () => {
      wait(false);
      show("The upload broke off, and nothing of it was kept: see that the server runs and its disk has "
        + "room, and upload it again.");
    };
    sent.onload = () => {
      wait(false);
      if (sent.status === 201) page.send("uploaded", JSON.parse(sent.responseText).folder);
      else show(sent.responseText || "The upload was refused: reload the page, and try again.");
    };
    wait(true);
    [bar.value, said.textContent] = [0, "0%"];
    await globalThis.deskTicket?.promise; // the cookie without which nothing is taken
    if (request !== sent) return;
    sent.open("POST", page.data.address);
    sent.setRequestHeader("X-Upload-Name", name);
    sent.send(new Blob([names, "\n", ...chosen])); // read from the disk while it is sent
  }

  // What the server does with all that has arrived, until it answers.
  async function follow(sent, name) {
    while (request === sent && sent.readyState < XMLHttpRequest.DONE) {
      const answer = await fetch(`${page.data.address}/${name}`).catch(() => null);
      const report = answer?.ok ? await answer.json() : null;
      if (report && request === sent) {
        const share = report.done / report.total;
        bar.value = share;
        said.textContent = `${report.phase}: ${Math.floor(100 * share)}% of `
          + `${report.total.toLocaleString("en")} file${report.total === 1 ? "" : "s"}`;
      }
      await new Promise((later) => setTimeout(later, 250));
    }
  }

  function inWords(bytes) {
    return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} kB` : `${Math.round(bytes / 2 ** 20)} MB`;
  }

  function stop() {
    request?.abort();
    request = null;
  }

  return { page, node, stop, calls: 0 };
}
