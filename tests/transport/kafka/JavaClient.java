import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The client that all others are measured by.
 *
 *   java JavaClient.java BROKERS read TOPIC…            prints each record that is committed, as `topic partition offset value`
 *   java JavaClient.java BROKERS write N CODEC=TOPIC…   writes the values 0 to N - 1, compressed, each under itself modulo 10 as its key
 */
public class JavaClient {
  public static void main(String[] args) throws Exception {
    Properties options = new Properties();
    options.put("bootstrap.servers", args[0]);
    if (args[1].equals("read")) read(options, Arrays.asList(args).subList(2, args.length));
    else
      for (String one : Arrays.asList(args).subList(3, args.length))
        write(options, one.split("=")[1], one.split("=")[0], Integer.parseInt(args[2]));
  }

  static void read(Properties options, List<String> topics) {
    options.put("isolation.level", "read_committed");
    StringDeserializer text = new StringDeserializer();
    StringBuilder lines = new StringBuilder();
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(options, text, text)) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (String topic : topics)
        for (PartitionInfo info : consumer.partitionsFor(topic)) partitions.add(new TopicPartition(topic, info.partition()));
      var ends = consumer.endOffsets(partitions);
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one)))
        for (var one : consumer.poll(Duration.ofSeconds(1)))
          lines.append(one.topic() + " " + one.partition() + " " + one.offset() + " " + one.value() + "\n");
    }
    new PrintStream(System.out, true, StandardCharsets.UTF_8).print(lines);
  }

  static void write(Properties options, String topic, String codec, int count) throws Exception {
    options.put("compression.type", codec);
    options.put("linger.ms", "50");
    StringSerializer text = new StringSerializer();
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(options, text, text)) {
      for (int number = 0; number < count; number++)
        producer.send(new ProducerRecord<>(topic, Integer.toString(number % 10), Integer.toString(number)));
      producer.flush();
    }
  }
}
