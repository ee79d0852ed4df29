"""An AWF queue backend: `mq.type: template`."""
