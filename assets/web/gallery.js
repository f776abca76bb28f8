// The sample gallery: native radio buttons, so arrow keys work; the value is {key}.
const radios = [...element.querySelectorAll("input[type=radio]")];

function draw() {
  const key = props.value ? props.value.key : null;
  for (const radio of radios) radio.checked = radio.value === key;
}

for (const radio of radios) {
  radio.addEventListener("change", () => {
    props.value = { key: radio.value };
    trigger("input");
  });
}
watch("value", draw);
draw();
